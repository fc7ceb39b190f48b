"""Locks of folders, temporary files of killed processes, and signals that arrive during a write."""

import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from unetprep.errors import Conflict, Stopped
from unetprep.storage import lock
from unetprep.storage.local import LocalStorage
from unetprep.storage.lock import LOCK, Holder, holder, locked
from unetprep.store import Store


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is touched often."""
    monkeypatch.setattr(lock, "TOUCH_S", 0.05)
    monkeypatch.setattr(lock, "DEAD_AFTER_S", 0.5)


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


def test_a_process_sees_that_its_lock_was_taken_over(tmp_path: Path) -> None:
    folder = LocalStorage(str(tmp_path))
    with locked(folder, str(tmp_path)) as held:
        held.check()
        folder.put(LOCK, lock._encoded(lock.Holder("t", "far", pid=1, command="fit")))
        with pytest.raises(Conflict, match=r"was taken over by fit \(process 1 on far\)"):
            held.check()
    assert names(tmp_path) == [LOCK]


def test_temporary_files_in_folders_below_a_flat_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ds.zarr").mkdir()
    (tmp_path / "ds.zarr" / ".partial-12").write_bytes(b"being written by another process")
    (tmp_path / ".partial-12").write_bytes(b"half")
    started = Holder("t", "here", lock._place(), os.getpid(), "a former life of this number")
    LocalStorage(str(tmp_path)).put(LOCK, lock._encoded(started))
    with locked(LocalStorage(str(tmp_path)), str(tmp_path), is_flat=True):
        assert names(tmp_path) == [".lock", "ds.zarr"]
    assert names(tmp_path / "ds.zarr") == [".partial-12"]


def foreign_lock(url: str, **values: object) -> None:
    content = {"token": "t", "host": "far", "pid": 1, "command": "unetprep x", **values}
    LocalStorage(url).put(LOCK, json.dumps(content).encode())


def test_a_lock_holds_within_a_process_once_and_is_gone_after_an_error(store: Store, quick: None) -> None:
    with pytest.raises(ZeroDivisionError), locked(store.storage, store.url):  # noqa: PT012
        with locked(store.storage, store.url + "/../" + Path(store.url).name):
            token = json.loads(Path(store.url, LOCK).read_text())["token"]
        time.sleep(0.2)
        now = json.loads(Path(store.url, LOCK).read_text())
        assert now["token"] == token
        assert now["beat"] > 0
        raise ZeroDivisionError
    assert not Path(store.url, LOCK).exists()


def test_a_process_number_says_nothing_in_another_place(store: Store, quick: None) -> None:
    """Two containers may have the same name, and each its own process 1."""
    foreign_lock(store.url, host=platform.node(), place="another namespace", pid=2**22 + 1, started="1")
    start = time.monotonic()
    with locked(store.storage, store.url):
        assert time.monotonic() - start > lock.DEAD_AFTER_S  # nobody touched it meanwhile


def test_another_thread_is_another_run(store: Store, quick: None) -> None:
    def run() -> None:
        with pytest.raises(Conflict, match="another run works on"), locked(store.storage, store.url):
            pass

    with locked(store.storage, store.url), ThreadPoolExecutor(1) as executor:
        executor.submit(run).result()


def test_what_a_killed_run_was_writing_goes_with_its_lock(store: Store, quick: None) -> None:
    foreign_lock(store.url)
    half = Path(store.url, "images/a/image/.partial-1234")
    half.write_bytes(b"half")
    with locked(store.storage, store.url):
        assert not half.exists()


def test_what_ended_a_run_is_told_not_that_the_lock_cannot_be_let_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(self: LocalStorage, key: str) -> bytes:
        raise ConnectionError("no answer")

    with pytest.raises(Stopped), locked(store.storage, store.url):  # noqa: PT012
        monkeypatch.setattr(LocalStorage, "get", unreachable)
        raise Stopped


def test_a_lock_that_was_taken_over_is_left_to_the_other(store: Store, quick: None) -> None:
    with locked(store.storage, store.url):
        foreign_lock(store.url, beat=0)
        time.sleep(0.2)
    assert json.loads(Path(store.url, LOCK).read_text())["host"] == "far"
