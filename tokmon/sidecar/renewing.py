"""The extension, written anew in the background where pi has become another: at the start, and when one is heard of.

A process of its own does it: rendering imports what a sidecar would keep in memory, and pi may have to be asked.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Final

from tokmon.errors import TokmonError
from tokmon.paths import Paths
from tokmon.pi import extension

_PATIENCE_S: Final = 30.0
_FAREWELL_S: Final = 1.0
_MOST_VERSIONS: Final = 16
_COMMAND: Final = ("-P", "-m", "tokmon", "extension", "--renew")


class Renewal:
    """At most one process, which neither delays the sidecar nor outlives it; what it says is said."""

    def __init__(self, paths: Paths, say: Callable[[str], None]) -> None:
        self._paths = paths
        self._say = say
        self._task: asyncio.Task[None] | None = None
        self._heard: set[str] = set()

    def heard(self, version: str) -> None:
        """A session runs that version of pi. A sidecar may live for months: one that it has not met may be new."""
        if version not in self._heard and len(self._heard) < _MOST_VERSIONS:
            self._heard.add(version)
            self.start()

    def start(self) -> None:
        """Begin, unless one is under way, or all is as it was when somebody last looked."""
        if self._task is not None and not self._task.done():
            return
        try:
            known = extension.looked_at(self._paths, os.environ)
        except (OSError, TokmonError) as error:
            self._say(f"cannot look whether the extension fits pi: {error}")
            return
        if not known:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End it if it has not ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            said = await self._said()
        except (OSError, TimeoutError) as error:
            self._say(f"cannot look whether the extension fits pi: {str(error) or 'it took too long'}")
            return
        for line in said.decode(errors="replace").splitlines():
            self._say(line)

    async def _said(self) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *_COMMAND,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
        finally:
            if process.returncode is None:
                await _end(process)
        return said


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let it take along whom it asks; if it does not, end it."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _FAREWELL_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
