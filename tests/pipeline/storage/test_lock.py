"""Locks of folders, temporary files of killed processes, and signals that arrive during a write."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unetprep.errors import Conflict
from unetprep.storage import lock
from unetprep.storage.atomic import replacing
from unetprep.storage.local import LocalStorage
from unetprep.storage.lock import LOCK, Holder, holder, locked
from unetprep.storage.signals import deferred_signals


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is touched often."""
    monkeypatch.setattr(lock, "TOUCH_S", 0.05)
    monkeypatch.setattr(lock, "DEAD_AFTER_S", 0.3)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


DOCUMENTS = {
    "empty": b"",
    "list": b"[1, 2]",
    "number": b"7",
    "null": b"null",
    "no keys": b"{}",
    "types": b'{"pid": "1", "host": 3, "command": null}',
    "bool": b'{"pid": true}',
    "range": b'{"pid": 1%s, "host": "h", "command": "c"}' % (b"0" * 40),
    "nested": b"[" * 100_000,
    "not text": b"\xff\xfe",
}


@pytest.mark.parametrize("content", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_lock_that_is_no_lock_document_is_of_an_unknown_process(tmp_path: Path, quick: None, content: bytes) -> None:
    folder = LocalStorage(str(tmp_path))
    folder.put(LOCK, content)
    found = holder(folder)
    assert found is not None
    assert found[0].startswith("an unknown command (process -1 on an unknown machine")
    assert not found[1]
    with locked(folder, str(tmp_path)):
        assert names(tmp_path) == [LOCK]
    assert not tmp_path.exists()  # the folder was empty but for the lock


def test_control_characters_of_a_lock_are_not_shown(tmp_path: Path) -> None:
    folder = LocalStorage(str(tmp_path))
    folder.put(LOCK, b'{"command": "a\\u001b[31m b", "pid": 5, "host": "h\\n"}')
    assert holder(folder) == ("a[31m b (process 5 on h)", False)


def test_a_suspended_process_of_this_machine_keeps_its_lock(tmp_path: Path, quick: None) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        document = lock.Holder("t", "here", lock._place(), process.pid, lock._started(process.pid), "fit")
        LocalStorage(str(tmp_path)).put(LOCK, lock._encoded(document))
        with pytest.raises(Conflict, match=rf"works on .*: fit \(process {process.pid} on here\)\n.*do: +go away"):
            locked(LocalStorage(str(tmp_path)), str(tmp_path), hint="go away").__enter__()
        process.kill()
    start = time.monotonic()
    with locked(LocalStorage(str(tmp_path)), str(tmp_path)):
        assert time.monotonic() - start < 0.2 + 2 * lock.TOUCH_S  # at once: the process is known to be gone


def test_a_fresh_lock_clears_the_temporary_files_at_the_root(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for path in (tmp_path / ".partial-1", tmp_path / "images" / ".partial-2", tmp_path / "kept"):
        path.write_bytes(b"half")
    with locked(LocalStorage(str(tmp_path)), str(tmp_path)):
        assert names(tmp_path) == [LOCK, "images", "kept"]


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


def test_a_process_sees_that_its_lock_was_taken_over(tmp_path: Path) -> None:
    folder = LocalStorage(str(tmp_path))
    with locked(folder, str(tmp_path)) as held:
        held.check()
        folder.put(LOCK, lock._encoded(lock.Holder("t", "far", pid=1, command="fit")))
        with pytest.raises(Conflict, match=r"was taken over by fit \(process 1 on far\)"):
            held.check()
    assert names(tmp_path) == [LOCK]


class Asked(KeyboardInterrupt):
    pass


@pytest.fixture
def raising() -> Iterator[Callable[[], None]]:
    """Send SIGTERM to this process, whose handler raises."""

    def handler(*_: object) -> None:
        raise Asked

    before = signal.signal(signal.SIGTERM, handler)
    yield lambda: signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is handler
    signal.signal(signal.SIGTERM, before)


def test_signals_are_held_back_until_the_outermost_block_ends(raising: Callable[[], None]) -> None:
    seen = []
    with pytest.raises(Asked), deferred_signals():  # noqa: PT012
        with deferred_signals():
            raising()
            seen.append("inner")
        seen.append("outer")
    assert seen == ["inner", "outer"]


@pytest.mark.parametrize("moment", ["write", "replace", "lock"])
def test_a_signal_during_a_write_leaves_a_whole_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raising: Callable[[], None], moment: str
) -> None:
    replace, link = os.replace, os.link

    def put(source: Path, target: Path) -> None:
        raising()
        replace(source, target)

    def new(source: Path, target: Path) -> None:
        raising()
        link(source, target)

    if moment == "replace":
        monkeypatch.setattr(os, "replace", put)
    if moment == "lock":
        monkeypatch.setattr(os, "link", new)
        with pytest.raises(Asked), locked(LocalStorage(str(tmp_path / "run")), str(tmp_path / "run")):
            raise AssertionError
        assert names(tmp_path) == []
        return
    with pytest.raises(Asked), replacing(tmp_path / "x") as file:  # noqa: PT012
        file.write(b"one")
        if moment == "write":
            raising()
        file.write(b"two")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("x", b"onetwo")]


def test_a_failed_write_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "x").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    for write in (LocalStorage(str(tmp_path)).put, LocalStorage(str(tmp_path)).put_if_absent):
        with pytest.raises(OSError, match=r"No space left on device: '.*/[xy]'"):
            write("x" if write.__name__ == "put" else "y", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("x", b"old")]


def test_temporary_files_in_folders_below_a_flat_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ds.zarr").mkdir()
    (tmp_path / "ds.zarr" / ".partial-12").write_bytes(b"being written by another process")
    (tmp_path / ".partial-12").write_bytes(b"half")
    started = Holder("t", "here", lock._place(), os.getpid(), "a former life of this number")
    LocalStorage(str(tmp_path)).put(LOCK, lock._encoded(started))
    with locked(LocalStorage(str(tmp_path)), str(tmp_path), is_flat=True):
        assert names(tmp_path) == [".lock", "ds.zarr"]
    assert names(tmp_path / "ds.zarr") == [".partial-12"]
