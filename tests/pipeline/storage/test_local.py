"""Storage in a folder."""

import errno
import os
from pathlib import Path

import pytest

from unetprep.storage import atomic
from unetprep.storage.local import LocalStorage


def test_what_is_new_is_written_once_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    folder = LocalStorage(str(tmp_path / "root"))
    assert folder.put_if_absent("a", b"1")
    assert not folder.put_if_absent("a", b"2")
    assert folder.get("a") == b"1"
    assert list(folder.orphaned_temporaries()) == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_no_more_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    folder = LocalStorage(str(tmp_path))
    folder.put("a/x", b"old")

    def refuse(descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=os.strerror(error)):
        folder.put("a/x", b"new")
    with pytest.raises(OSError, match=os.strerror(error)):
        folder.put_if_absent("a/y", b"new")
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "a").iterdir()] == [("x", b"old")]


def test_a_failed_write_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "x").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    for write in (LocalStorage(str(tmp_path)).put, LocalStorage(str(tmp_path)).put_if_absent):
        with pytest.raises(OSError, match=r"No space left on device: '.*/[xy]'"):
            write("x" if write.__name__ == "put" else "y", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("x", b"old")]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_temporary_file_that_the_holder_removes_does_not_end_the_one_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, removed = os.link, list[Path]()

    def removing(source: Path, target: Path) -> None:
        if not removed:
            removed.append(source)
            source.unlink()
        link(source, target)

    monkeypatch.setattr(os, "link", removing)
    assert LocalStorage(str(tmp_path)).put_if_absent("x", b"1")
    assert removed
    assert names(tmp_path) == ["x"]


def test_a_file_gets_its_name_when_its_content_and_its_new_folders_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str | int] = []
    fsync, replace = os.fsync, os.replace

    def syncing(descriptor: int) -> None:
        events.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def naming(source: Path, target: Path) -> None:
        events.append(target.name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", naming)
    LocalStorage(str(tmp_path)).put("a/b/c/x", b"1")
    file, *above, folder = (tmp_path / key for key in ("a/b/c/x", "", "a", "a/b", "a/b/c"))
    assert [*events[:1], *sorted(events[1:4], key=str), *events[4:]] == [
        file.stat().st_ino,
        *sorted((path.stat().st_ino for path in above), key=str),
        "x",
        folder.stat().st_ino,
    ]


def test_nothing_is_synced_where_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalStorage(str(tmp_path))
    for key in ("a/x", "b"):
        folder.put(key, b"1")
    synced: list[Path] = []
    monkeypatch.setattr(atomic, "sync_path", synced.append)
    folder.delete("a/y")
    assert synced == []
    folder.delete("a/x")
    assert synced == [tmp_path]
