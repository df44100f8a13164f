"""A session that has something to tell all the time, and a wake script that asks all the time: run inside a root.

load.py SOCKET PROGRESS: until stdin ends. It keeps to the wire as the extension does: what was not acknowledged when
a connection ended is told again on the next, and where nobody listens it starts the sidecar. PROGRESS is a file with
one line of JSON: how many captures were acknowledged, and how often the hook and the program were run. Whatever fails
is said on stderr, with exit code 1. Standard library only.
"""

import json
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

CAPTURE: Final = {
    "kind": "capture",
    "ts": "2026-11-22T06:00:00.250Z",
    "provider": "team-vigilio",
    "model": "claude-sonnet-4-6",
    "api": "anthropic-messages",
    "member": "ann",
    "http_status": 200,
    "headers": {},
}
PROGRAM: Final = str(Path.home() / ".local" / "bin" / "tokmon")
HOOK: Final = str(Path.home() / ".local" / "share" / "tokmon" / "hooks" / "budget-select")
BATCH: Final = 8


def main(path: str, progress: Path) -> None:
    """Tell and ask until stdin ends."""
    told = asked = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        lines = ['{"kind":"hello","protocol":1}']
        lines += [json.dumps({**CAPTURE, "id": f"capture-{told + each:08}"}) for each in range(BATCH)]
        while not tell(path, "".join(f"{line}\n" for line in lines).encode()):
            subprocess.run([PROGRAM, "sidecar", "--detach"], capture_output=True, check=False)
        told += BATCH
        for words in ([HOOK], [PROGRAM, "--version"]):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode or len(done.stdout.split()) != 2:
                sys.exit(f"{words} failed: {done}")
        asked += 1
        fresh = progress.with_suffix(".new")
        fresh.write_text(json.dumps({"told": told, "asked": asked}))
        fresh.replace(progress)


def tell(path: str, text: bytes) -> bool:
    """Tell all of it on a connection of its own; whether all of it was acknowledged."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        try:
            connection.connect(path)
            connection.sendall(text)
            return any(json.loads(line).get("ack") == BATCH for line in connection.makefile())
        except (FileNotFoundError, ConnectionError):
            return False


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
