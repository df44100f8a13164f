"""A client of `pi --mode rpc`: commands on stdin, responses and events on stdout, one JSON object a line."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Record = dict[str, Any]


class RpcError(Exception):
    """Pi refused a command, ended too early, or said nothing in time."""


class Rpc:
    """One running pi. `records` is everything it wrote, in order; reader threads keep the pipes empty."""

    def __init__(self, command: list[str], work: Path, env: Mapping[str, str], *, says_settled: bool) -> None:
        self.records: list[Record] = []
        self.stderr: list[str] = []
        self._command = command
        self._work = work
        self._env = dict(env)
        self._says_settled = says_settled
        self._changed = threading.Condition()
        self._ended = False
        self._serial = 0
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._work,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._readers = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.kill() if kind else self.close()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process, for signals."""
        if self._process is None:
            raise RpcError("not started: use `with`")
        return self._process

    def send(self, kind: str, timeout: float = 100.0, **fields: Any) -> Record:
        """Send a command and return its response; RpcError if pi refuses it."""
        wanted = self.post(kind, **fields)
        response = self.wait(lambda record: record.get("id") == wanted and record["type"] == "response", 0, timeout)
        if not response.get("success"):
            raise RpcError(f"`{kind}` was refused: {response.get('error')}")
        return response

    def post(self, kind: str, **fields: Any) -> str:
        """Send a command without waiting, and return its id."""
        self._serial += 1
        wanted = f"test-{self._serial}"
        pipe = self.process.stdin
        if pipe is None:
            raise RpcError("pi has no stdin")
        pipe.write(json.dumps({"id": wanted, "type": kind, **fields}) + "\n")
        pipe.flush()
        return wanted

    def prompt(self, message: str, timeout: float = 100.0) -> list[Record]:
        """Send a prompt, wait until pi has settled, and return the records since.

        `agent_settled` says so from 0.87 on; before, an `agent_end` that no `auto_retry_start` follows.
        """
        begin = len(self.records)
        response = self.send("prompt", timeout, message=message)
        if (response.get("data") or {}).get("disposition") != "handled":
            self.settle(begin, timeout)
        return self.records[begin:]

    def drive(self, command: str, timeout: float = 100.0) -> list[Record]:
        """Send a command of a test extension, wait until it says `done`, and return the records since."""
        begin = len(self.records)
        self.post("prompt", message=command)
        self.done(begin, timeout)
        return self.records[begin:]

    def done(self, begin: int = 0, timeout: float = 100.0) -> None:
        """Wait until a test extension has said `done`."""
        self.wait(
            lambda record: record["type"] == "extension_ui_request" and record.get("message") == "done", begin, timeout
        )

    def settle(self, begin: int, timeout: float = 100.0) -> None:
        """Wait until the run whose first record is at `begin` or later is over."""
        if self._says_settled:
            self.wait(lambda record: record["type"] == "agent_settled", begin, timeout)
            return
        deadline = time.monotonic() + timeout
        while True:
            self.wait(lambda _: self._quiet(begin), begin, deadline - time.monotonic())
            self.send("get_state")
            if self._quiet(begin):
                return

    def wait(self, wanted: Callable[[Record], bool], begin: int = 0, timeout: float = 100.0) -> Record:
        """Return the first record from `begin` on that is `wanted`; RpcError if pi ends or the time is over."""
        found: list[Record] = []
        seen = begin

        def look() -> bool:
            nonlocal seen
            for record in self.records[seen:]:
                seen += 1
                if wanted(record):
                    found.append(record)
                    return True
            return self._ended

        with self._changed:
            in_time = self._changed.wait_for(look, timeout)
        if found:
            return found[0]
        why = "pi ended" if in_time else f"nothing in {timeout:.0f} s"
        kinds = [record["type"] for record in self.records]
        raise RpcError(f"{why}; records {kinds[-30:]}; stderr {''.join(self.stderr)[-2000:]}")

    def close(self, timeout: float = 100.0) -> int:
        """Close stdin, wait for the orderly end, and return the exit code; RpcError if pi stays."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            raise RpcError(f"pi did not end within {timeout} s of the end of its stdin") from error

    def _quiet(self, begin: int) -> bool:
        """Whether more runs ended than retries began; a retry is announced before any later response."""
        kinds = [record["type"] for record in self.records[begin:]]
        return kinds.count("agent_end") > kinds.count("auto_retry_start")

    def _read_out(self) -> None:
        if self.process.stdout is None:
            return
        for line in self.process.stdout:
            if not line.startswith("{"):
                continue
            with self._changed:
                self.records.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_err(self) -> None:
        if self.process.stderr is not None:
            self.stderr.extend(self.process.stderr)
