"""Files and links that others may have planted."""

import os
from pathlib import Path

import pytest

from tokmon.errors import InstallError
from tokmon.installer.user import files
from tokmon.installer.user.plan import execute
from tokmon.installer.user.receipt import Receipt
from tokmon.installer.user.writer import Writer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of our own."""
    made = tmp_path / "folder"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """With an empty receipt."""
    return Writer(Receipt(tmp_path / "data" / "receipt.json"))


def test_a_link_is_replaced_in_one_step_and_left_alone_where_it_is_right(folder: Path, writer: Writer) -> None:
    link = folder / "current"
    assert execute(writer.link(link, "versions/a"), dry_run=False) == 1
    inode = link.lstat().st_ino
    assert execute(writer.link(link, "versions/a"), dry_run=False) == 0
    assert link.lstat().st_ino == inode
    assert execute(writer.link(link, "versions/b"), dry_run=False) == 1
    assert [path.name for path in folder.iterdir()] == ["current"]


@pytest.mark.parametrize("name", ["file", ".file.tokmon-new"])
def test_nothing_is_written_through_a_planted_link(folder: Path, writer: Writer, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (folder / name).symlink_to(victim)
    execute(writer.file(folder / "file", b"ours\n", 0o600), dry_run=False)
    assert victim.read_text() == "precious\n"
    assert not (folder / "file").is_symlink()
    assert (folder / "file").read_text() == "ours\n"


def test_a_planted_folder_is_kept_as_a_file_would_be(folder: Path, writer: Writer) -> None:
    (folder / "file").mkdir()
    (folder / "file" / "theirs").write_text("kept\n")
    execute(writer.file(folder / "file", b"ours\n", 0o600), dry_run=False)
    assert (folder / "file").read_text() == "ours\n"
    assert (folder / "file.before-tokmon" / "theirs").read_text() == "kept\n"


def test_a_file_of_ours_that_somebody_changed_is_kept(folder: Path, writer: Writer) -> None:
    execute(writer.file(folder / "file", b"ours\n", 0o600), dry_run=False)
    (folder / "file").write_text("changed\n")
    execute(writer.file(folder / "file", b"newer\n", 0o600), dry_run=False)
    assert (folder / "file.before-tokmon").read_text() == "changed\n"


def test_an_upgrade_that_was_killed_before_it_wrote_does_not_take_our_own_for_foreign(
    folder: Path, writer: Writer
) -> None:
    path = folder / "file"
    execute(writer.file(path, b"old\n", 0o600), dry_run=False)
    writer.receipt.record(path, files.digest(b"new\n"))
    again = Writer(Receipt.load(writer.receipt.path))
    assert [step.what for step in again.file(path, b"newest\n", 0o600)] == [f"write {path}"]


def test_a_folder_open_to_everybody_is_refused(folder: Path) -> None:
    folder.chmod(0o777)
    with pytest.raises(InstallError, match="others may write"):
        files.write(folder / "file", b"ours\n", 0o600)
    folder.chmod(0o1777)
    files.write(folder / "file", b"ours\n", 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: no file of another user can be made")
@pytest.mark.parametrize("shared", [False, True])
def test_a_link_of_another_user_on_the_way_is_refused(folder: Path, *, shared: bool) -> None:
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    files.write(folder / "link" / "file", b"ours\n", 0o600, shared=shared)
    os.chown(folder / "link", 65534, 65534, follow_symlinks=False)
    with pytest.raises(InstallError, match="belongs to another user"):
        files.write(folder / "link" / "file", b"theirs\n", 0o600, shared=shared)


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: no file of another user can be made")
def test_what_everyone_runs_is_not_put_below_a_folder_of_a_member(folder: Path) -> None:
    (folder / "below").mkdir()
    os.chown(folder, 65534, 65534)
    files.write(folder / "below" / "file", b"mine\n", 0o600)
    with pytest.raises(InstallError, match="belongs to another user"):
        files.write(folder / "below" / "file", b"everyone's\n", 0o600, shared=True)


def test_links_that_lead_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(InstallError, match="too many links"):
        files.trust(folder / "a" / "b")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "files": {"/x": 3}}', "[" * 100_000])
def test_a_damaged_receipt_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "receipt.json").write_text(text)
    with pytest.raises(InstallError, match=r"receipt\.json"):
        Receipt.load(tmp_path / "receipt.json")


def test_a_folder_that_another_installer_makes_meanwhile_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "missing", lambda _: [folder])
    files.make_folders(folder)


def test_a_step_that_the_system_refuses_says_which_and_why(folder: Path, writer: Writer) -> None:
    (folder / ".file.tokmon-new").mkdir()
    with pytest.raises(InstallError, match=f"cannot write {folder}/file: .*irectory"):
        execute(writer.file(folder / "file", b"", 0o600), dry_run=False)
