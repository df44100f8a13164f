"""`tokmon`: the answer to `tokmon select` from what is kept, where nothing has changed, and `cli` for all else.

A wake waits for this. So it does with what every Python has loaded already, and `fcntl`: the libraries that the choice
itself needs take longer to import than a whole `node` takes to start. Whatever is in doubt is left to the choice.
"""

import os
import stat
import sys
import time

from tokmon import kept

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MODE = 0o600
_ANYBODY_ELSE = 0o077
_HOLDS_S = 30
_TRIES = 40
_BETWEEN_S = 0.001


def main() -> int:
    """Run `tokmon` with the words of this process; the exit code is that of `cli.main`."""
    if sys.argv[1:] == ["select"] and sys.stdout is not None:
        pair = _kept()
        if pair is not None:
            # Nothing is open and nothing is buffered: taking the interpreter down in good order would only take time.
            os._exit(_say(pair))
    if sys.flags.no_site:
        import site

        site.main()  # `installer.launcher` left it out, for the wake that ends above
    from tokmon.cli import main as run

    code = run()
    if sys.argv[1:2] == ["select"]:
        # All is written and flushed. Taking down what was imported would take a sixth of a wake.
        os._exit(code)
    return code


def _kept() -> str | None:
    """`PROVIDER MODEL` as it is kept, with its line in the log, and for the hook; None where tokmon must decide."""
    clock = None if kept.overridden(os.environ) else kept.clock()
    if clock is None:
        return None
    try:
        places = kept.Places(os.environ)
        found = kept.find(places, *clock)
        if found is None:
            return None
        _write(places.decision, found, *clock)
        _record(f"{places.logs}/decisions.jsonl", found)
    except (OSError, ValueError):
        return None
    return f"{found.provider} {found.model}"


def _write(path: str, found: kept.Kept, boot: str, now: int) -> None:
    """Put it where the next wake reads it, for as long as the choice itself would (`decision_file.write`)."""
    seconds = min(_HOLDS_S, found.crossing, (found.until - now) // 100) - 1
    if seconds < 1:
        return
    folder, name = os.path.split(path)
    _own_folder(folder)
    issued = now // 100
    line = f"tokmon-decision 1 {boot} {issued} {issued + seconds} {found.provider} {found.model} end\n".encode("ascii")
    temporary = f"{folder}/.{name}.{os.getpid()}"
    fd = os.open(temporary, _NEW, _MODE)
    try:
        try:
            if os.write(fd, line) != len(line):
                raise OSError
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def _record(path: str, found: kept.Kept) -> None:
    """A short line of the log, under the lock that every writer of it takes (`store.append`)."""
    import fcntl

    _own_folder(os.path.dirname(path))
    lock = os.open(f"{path}.lock", _APPEND, _MODE)
    try:
        for tries in range(_TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if tries == _TRIES - 1:
                    raise
                time.sleep(_BETWEEN_S)
        log = os.open(path, _APPEND, _MODE)
        try:
            _append(log, found)
        finally:
            os.close(log)
    finally:
        os.close(lock)


def _append(log: int, found: kept.Kept) -> None:
    known = os.fstat(log)
    if not stat.S_ISREG(known.st_mode):
        raise ValueError
    torn = known.st_size > 0 and os.pread(log, 1, known.st_size - 1) != b"\n"
    flags = ["true" if each else "false" for each in (found.emergency, found.spends)]
    line = (
        f'{{"ts":"{_instant(kept.wall())}","source":"select","provider":"{found.provider}","model":"{found.model}"'
        f',"emergency":{flags[0]},"spends_credit":{flags[1]},"decided_at":"{_instant(found.issued + found.offset)}"'
        ',"reason":"nothing has changed since"}\n'
    )
    data = b"\n" * torn + line.encode("ascii")
    if os.write(log, data) != len(data):
        raise OSError


def _own_folder(path: str) -> None:
    """ValueError or OSError unless it is a folder of ours, and nobody else's business."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _ANYBODY_ELSE:
        raise ValueError


def _instant(hundredths: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(hundredths // 100))


def _say(pair: str) -> int:
    """Print it as the command does; 1 where nobody reads it, or nothing can be written."""
    try:
        os.write(1, f"{pair}\n".encode("ascii"))
    except BrokenPipeError:
        return 1
    except OSError as error:
        sys.stderr.write(f"error: cannot write to the standard output: {error.strerror}\n")
        sys.stderr.flush()
        return 1
    return 0
