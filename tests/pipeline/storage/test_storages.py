"""One contract for all places where a store can lie: a folder, a real S3 server, what fsspec opens."""

import os
import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from unetprep.storage.base import Storage
from unetprep.storage.object_store import ObjectStorage
from unetprep.storage.registry import open_storage


@pytest.fixture(params=["folder", "s3", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    urls: dict[str, Callable[[], str]] = {
        "folder": lambda: str(tmp_path / "root"),
        "s3": lambda: str(request.getfixturevalue("s3")),
        "memory": lambda: f"memory://{uuid4().hex}",
    }
    return open_storage(urls[request.param]())


# -- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(12 * 2**20)], ids=["empty", "small", "12 MiB"])
def test_what_is_put_is_got(storage: Storage, data: bytes) -> None:
    storage.put("a/b/c", data)
    assert storage.get("a/b/c") == data
    storage.put("a/b/c", b"other")
    assert storage.get("a/b/c") == b"other"


@pytest.mark.parametrize("key", ["a b", "50%", "a%20b", "x#y?z=1&w", "é/ü", "a+b", "c/0/0"])
def test_keys_are_taken_literally(storage: Storage, key: str) -> None:
    storage.put(key, b"1")
    assert storage.get(key) == b"1"
    assert list(storage.listing()) == [(key, 1)]


def test_absent_objects_are_named(storage: Storage) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: storage.get("no/such"),
        lambda: storage.get_ranges("no/such", [(0, 1)]),
        lambda: storage.get_ranges("no/such", [(-1, 1)]),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundError, match="no/such"):
            call()
    assert list(storage.listing("no/")) == []
    storage.delete("no/such")
    storage.delete("no/")


def test_ranges(storage: Storage) -> None:
    data = bytes(range(256)) * 8000
    storage.put("x", data)
    ranges = [(0, 1), (5, 0), (1_500_000, 7), (3, 9), (2_047_990, 10), (-4, 4), (-10, 3)]
    expected = [data[o : o + n] if o >= 0 else data[o:][:n] for o, n in ranges]
    assert storage.get_ranges("x", ranges) == expected
    assert storage.get_ranges("x", []) == []


def test_a_range_gives_what_there_is(storage: Storage) -> None:
    storage.put("x", b"0123456789")
    assert storage.get_ranges("x", [(8, 5), (10, 5), (30, 5), (2, 2)]) == [b"89", b"", b"", b"23"]
    assert storage.get_ranges("x", [(10**8, 5)]) == [b""]
    assert storage.get_ranges("x", [(0, 2), (10**8, 5)]) == [b"01", b""]


def test_put_if_absent_writes_only_where_nothing_stands(storage: Storage) -> None:
    assert storage.put_if_absent("lock", b"mine")
    assert not storage.put_if_absent("lock", b"yours")
    assert not storage.put_if_absent("lock", b"mine")
    assert storage.get("lock") == b"mine"
    storage.delete("lock")
    assert storage.put_if_absent("lock", b"yours")


def test_of_many_who_put_if_absent_one_wins(storage: Storage) -> None:
    start = threading.Barrier(8)

    def attempt(i: int) -> bool:
        start.wait()
        return storage.put_if_absent("deep/lock", b"%d" % i)

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(attempt, range(8)))
    assert won.count(True) == 1
    assert storage.get("deep/lock") == b"%d" % won.index(True)
    assert list(storage.listing()) == [("deep/lock", 1)]


def test_listing_and_deletion_stop_at_slashes(storage: Storage) -> None:
    for i, key in enumerate(["a/x", "a/y/z", "ab", "abc/x", "b/a/x"]):
        storage.put(key, b"." * i)
    everything = dict(storage.listing())
    assert dict(storage.listing("a/")) == {"a/x": 0, "a/y/z": 1}
    assert dict(storage.listing("a/y/")) == {"a/y/z": 1}
    storage.delete("a")
    assert dict(storage.listing()) == {k: n for k, n in everything.items() if not k.startswith("a/")}
    storage.delete("b/")
    assert all(key.startswith("ab") for key, _ in storage.listing())
    storage.delete("")
    assert list(storage.listing()) == []


def test_many_objects_from_many_threads(storage: Storage) -> None:
    data = {f"c/{i}": os.urandom(100 + i) for i in range(1100 if isinstance(storage, ObjectStorage) else 300)}
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(storage.put, data, data.values()))
        assert list(threads.map(storage.get, data)) == list(data.values())
    assert dict(storage.listing()) == {key: len(value) for key, value in data.items()}
    storage.delete("c/")
    assert list(storage.listing()) == []


def test_a_storage_travels(storage: Storage) -> None:
    storage.put("x", b"1")
    copy = pickle.loads(pickle.dumps(storage))
    assert copy.get("x") == b"1"
    assert pickle.loads(pickle.dumps(copy)).get("x") == b"1"


# -- servers that do not do what is asked ------------------------------------------------------------------------------


def test_a_profile_without_boto3_names_what_to_install(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", None)
    with pytest.raises(PermissionError, match=r"AWS_PROFILE is lab, and profiles need boto3\n.*unetprep\[s3\]"):
        open_storage(s3).put("x", b"1")
