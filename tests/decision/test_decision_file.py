"""The decision file: what is written is read again, and nothing else is believed."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.install.capabilities import without_root
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.decision.decision_file import MAX_LINE, MAX_LINES, Clock, DecisionFile, encode, leave_accounts, read, write

NAMES = st.text("abcXYZ019._:/@+-", min_size=1, max_size=30)
PAIRS = st.tuples(NAMES, NAMES)
FILES = st.builds(
    DecisionFile,
    st.builds(Clock, st.just("boot-id"), st.integers(0, 10**9)),
    st.integers(0, 10**9),
    PAIRS,
    st.just("/config /logs /agent"),
    accounts=st.lists(PAIRS, max_size=12).map(tuple),
    equal=st.lists(PAIRS, max_size=4).map(tuple),
    inputs=st.lists(st.text("/ab c.é", min_size=1, max_size=40), max_size=10).map(tuple),
)
CONTENT = DecisionFile(Clock("boot", 5), 9, ("team-a", "m-a"), "/c /l /a", accounts=(("team-a", "m-a"),))


@pytest.fixture
def path() -> Path:
    return decision_file.path_of(paths.find(), {})


@given(FILES)
def test_what_is_written_is_read_again(content: DecisionFile) -> None:
    assert decision_file._decoded(os.fsdecode(encode(content)).split("\n")) == content  # noqa: SLF001


@given(FILES, st.data())
def test_a_file_that_is_cut_anywhere_is_no_decision(content: DecisionFile, data: st.DataObject) -> None:
    whole = os.fsdecode(encode(content))
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert decision_file._decoded(whole[:cut].split("\n")) is None  # noqa: SLF001


@pytest.mark.parametrize("long", ["/" + "x" * MAX_LINE, "/a\nend"])
def test_a_path_that_the_hook_could_not_read_is_refused(long: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        encode(DecisionFile(Clock("b", 1), 2, ("a", "m"), "/c /l /a", inputs=(long,)))


def test_the_file_never_has_more_lines_than_the_hook_reads() -> None:
    many = tuple((f"seat-{number}", "m") for number in range(1000))
    lines = encode(DecisionFile(Clock("b", 1), 2, many[0], "/c /l /a", accounts=many)).splitlines()
    assert len(lines) == MAX_LINES
    assert lines[-1] == b"end"


def test_the_file_is_private_and_has_the_time_that_it_was_given(path: Path) -> None:
    write(path, CONTENT, 1_000_000_007)
    assert (path.stat().st_mode & 0o777, path.stat().st_mtime_ns) == (0o600, 1_000_000_007)
    assert read(path) == CONTENT


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "writable by all", "random", "empty", "missing"])
def test_anything_else_in_its_place_is_no_decision(kind: str, path: Path, tmp_path: Path) -> None:
    write(path, CONTENT, 1_000_000_007)
    whole = path.read_bytes()
    path.unlink()
    match kind:
        case "link":
            (tmp_path / "real").write_bytes(whole)
            path.symlink_to(tmp_path / "real")
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "writable by all":
            path.write_bytes(whole)
            path.chmod(0o666)
        case "random":
            path.write_bytes(bytes(range(256)) * 8000)
        case "empty":
            path.write_bytes(b"")
    assert read(path) is None
    assert decision_file.last_account(path) is None


@pytest.mark.skipif(without_root() is not None, reason=str(without_root()))
def test_a_file_of_another_user_is_no_decision(path: Path) -> None:
    write(path, CONTENT, 1_000_000_007)
    os.chown(path, 65534, 65534)
    assert read(path) is None


@pytest.mark.parametrize(
    ("before", "choice"),
    [(None, ("team-b", "m-b")), (("team-c", "m-c"), ("team-c", "m-c")), (("gone", "m"), ("team-b", "m-b"))],
)
def test_the_accounts_of_a_policy_are_left_for_the_hook(
    before: tuple[str, str] | None, choice: tuple[str, str], path: Path
) -> None:
    accounts = (("team-b", "m-b"), ("team-c", "m-c"))
    if before is not None:
        write(path, DecisionFile(Clock("b", 1), 9, before, "/c /l /a"), 1)
    leave_accounts(path, paths.find(), accounts)
    content = read(path)
    assert content is not None
    assert (content.choice, content.accounts) == (choice, accounts)
    assert content.expires == content.clock.uptime, "it holds for no wake"
