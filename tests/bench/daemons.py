"""What is measured: the sidecar, and rsyslog with `imptcp` on a Unix socket writing the same lines."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running process and where it listens and writes."""

    pid: int
    socket: Path
    folder: Path

    def cpu_s(self) -> float:
        """Seconds of processor time used so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def wakeups(self) -> int:
        """How often the main thread has gone to sleep by itself, which is how often it had been woken."""
        status = Path(f"/proc/{self.pid}/task/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    def written(self) -> int:
        """Bytes in the logs."""
        return sum(path.stat().st_size for path in self.folder.rglob("*.jsonl"))


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until the condition holds; TimeoutError naming what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.002)


@contextmanager
def sidecar(home: Path, *, fsync: str = "interval") -> Iterator[Daemon]:
    """A sidecar with everything in `home`."""
    (home / "run").mkdir(parents=True)
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PATH": os.environ["PATH"]}
    with _running([sys.executable, "-m", "tokmon", "sidecar", "--fsync", fsync], env) as pid:
        socket = home / "run" / "tokmon" / "sock"
        wait_for(socket.exists, 10, "the sidecar listens")
        yield Daemon(pid, socket, home / ".logs")


def rsyslogd() -> str | None:
    """The program, or None if the machine has none (Debian: `rsyslog`)."""
    return shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")


@contextmanager
def rsyslog(folder: Path, *, synced: bool = False) -> Iterator[Daemon]:
    """rsyslog writing each line as it comes to one file; `synced`: forced to the disk at each transaction's end."""
    folder.mkdir()
    sync = "on" if synced else "off"
    (folder / "conf").write_text(
        f"""global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imptcp")
template(name="line" type="string" string="%rawmsg%\\n")
ruleset(name="all") {{
  action(type="omfile" file="{folder}/lines.jsonl" template="line" asyncWriting="off" flushOnTXEnd="on" sync="{sync}")
}}
input(type="imptcp" path="{folder}/sock" ruleset="all" supportOctetCountedFraming="off")
""",
        encoding="ascii",
    )
    program = rsyslogd()
    if program is None:
        raise FileNotFoundError("rsyslogd")
    command = [program, "-n", "-f", str(folder / "conf"), "-i", str(folder / "pid")]
    with _running(command, dict(os.environ)) as pid:
        wait_for((folder / "sock").exists, 10, "rsyslog listens")
        yield Daemon(pid, folder / "sock", folder)


@contextmanager
def _running(command: list[str], env: dict[str, str]) -> Iterator[int]:
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
