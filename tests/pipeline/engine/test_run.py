"""The engine: what is handed out, what is stopped, what is locked, and what a power cut leaves."""

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL, tree
from tests.pipeline.engine.calling import calling
from tests.pipeline.engine.killing import Killed, count_writes, kill_and_repeat
from unetprep.engine.importing import import_images
from unetprep.engine.pending import plan_job
from unetprep.engine.run import Scheduler, run_plans, run_stage
from unetprep.errors import Conflict, Failure, InvalidInput, Stopped
from unetprep.format import layout
from unetprep.format.boxes import Index
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.storage import atomic, lock
from unetprep.storage.local import LocalStorage
from unetprep.storage.lock import LOCK
from unetprep.store import Store

TILES = TilesParams(tile_px=60, depth=2, margin_px=8)


def quiet(done: int, total: int, **shown: float) -> None:
    """No progress."""


def test_only_a_few_tasks_are_in_flight(store: Store) -> None:
    """What is read ahead of the work does not grow with the number of shards."""
    begun: list[Index] = []
    gate = threading.Event()

    def wait(index: Index) -> None:
        begun.append(index)
        gate.wait(5)

    job = calling(wait)
    queue_left: list[int] = []
    thread = threading.Thread(target=lambda: run_plans(store, [plan_job(store, job)], LOCAL, quiet))
    thread.start()
    while len(begun) < 2:
        time.sleep(0.01)
    queue_left.append(len(begun))
    gate.set()
    thread.join()
    assert queue_left == [2]
    assert len(begun) == 300


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Stopped])
def test_a_run_that_is_stopped_finishes_the_shards_it_is_at_and_goes_on_later(
    store: Store, stop: type[BaseException]
) -> None:
    begun, ended = [], []

    def work(index: Index) -> None:
        begun.append(index)
        time.sleep(0.002)
        ended.append(index)

    def interrupt(done: int, total: int, **shown: float) -> None:
        if done > 20:
            raise stop

    with pytest.raises(stop):
        run_plans(store, [plan_job(store, calling(work))], LOCAL, interrupt)
    assert sorted(begun) == sorted(ended)
    assert 20 < len(begun) < 290
    there = store.written("fields/noop")
    assert sorted(zip(*np.nonzero(there), strict=True)) == sorted(begun)
    assert not store.record("fields/noop")["complete"]
    first = set(begun)
    run_plans(store, [plan_job(store, calling(work))], LOCAL, quiet)
    assert len(begun) == 300
    assert len(set(begun)) == 300 > len(first)


def test_an_error_stops_the_others_and_names_the_shard(store: Store) -> None:
    begun = []

    def work(index: Index) -> None:
        begun.append(index)
        if len(begun) == 10:
            raise OSError(28, "No space left on device")
        time.sleep(0.002)

    with pytest.raises(Failure, match=r"shard .* of fields/noop .*No space left on device\n.*continues where"):
        run_plans(store, [plan_job(store, calling(work))], LOCAL, quiet)
    assert len(begun) < 60


def test_an_array_that_is_replaced_or_deleted_under_a_run_is_not_written(store: Store) -> None:
    job = calling(lambda index: None)
    (spec,) = job.outputs
    box, block = (slice(0, 2), slice(0, 5)), np.ones((2, 5), np.uint8)
    store.create(spec)
    store.write(spec, box, block)
    other = Store(store.url)
    other.update_record(spec.path, fingerprint="another")
    with pytest.raises(Failure, match=r"fields/noop of .* was replaced while it was being computed"):
        store.write(spec, box, block)
    other.storage.delete(spec.path)
    with pytest.raises(Failure, match=r"fields/noop of .* was deleted while it was being computed"):
        store.write(spec, box, block)
    assert not (Path(store.url) / spec.path).exists()


@pytest.mark.parametrize("rows", [slice(0, 1), slice(1, 3), slice(0, 4)])
def test_a_part_of_a_shard_is_not_written(store: Store, rows: slice) -> None:
    (spec,) = calling(lambda index: None).outputs
    store.create(spec)
    with pytest.raises(ValueError, match=r"is not a shard of fields/noop, whose shards are \(2, 5\)"):
        store.write(spec, (rows, slice(0, 5)), np.ones((rows.stop - rows.start, 5), np.uint8))
    assert not store.written("fields/noop").any()


# -- the lock ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is touched often."""
    monkeypatch.setattr(lock, "TOUCH_S", 0.05)
    monkeypatch.setattr(lock, "DEAD_AFTER_S", 0.5)


def foreign_lock(url: str, **values: object) -> None:
    content = {"token": "t", "host": "far", "pid": 1, "command": "unetprep x", **values}
    LocalStorage(url).put(LOCK, json.dumps(content).encode())


def test_a_second_run_is_refused_while_the_first_lives(
    store: Store, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "DEAD_AFTER_S", 60.0)  # a busy machine may let the first one wait for its turn
    beating = threading.Event()

    def beat() -> None:
        count = 0
        while not beating.wait(0.05):
            count += 1
            foreign_lock(store.url, beat=count)

    foreign_lock(store.url, beat=0)
    thread = threading.Thread(target=beat)
    thread.start()
    before = tree(store.url)
    try:
        with pytest.raises(Conflict, match=r"another run works on .*: unetprep x \(process 1 on far\)"):
            run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
        with pytest.raises(Conflict, match="another run works on"):
            import_images(store.url, [], [f"{Path(store.url).parent}/masks"], ImportParams(), LOCAL)
    finally:
        beating.set()
        thread.join()
    assert {k: v for k, v in tree(store.url).items() if k != LOCK} == {k: v for k, v in before.items() if k != LOCK}


@pytest.mark.parametrize("damage", ["nobody touches it", "its process is gone", "no JSON"])
def test_the_lock_of_a_dead_run_is_not_in_the_way(
    store: Store, quick: None, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    if damage == "its process is gone":
        monkeypatch.setattr(lock, "DEAD_AFTER_S", 60.0)  # seen at once, without waiting
        foreign_lock(store.url, place=lock._place(), pid=os.getpid(), started="a former life")
    elif damage == "no JSON":
        Path(store.url, LOCK).write_bytes(b"")
    else:
        foreign_lock(store.url)
    start = time.monotonic()
    assert run_stage(store, STAGES["weights"], WeightsParams(), LOCAL).shards_written
    assert time.monotonic() - start < 50
    assert not Path(store.url, LOCK).exists()


# -- what is lost -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 3])
def test_a_shard_that_was_acknowledged_and_lost_is_written_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    put = LocalStorage.put
    lost: list[str] = []

    def losing(self: LocalStorage, key: str, data: bytes) -> None:
        if key == "fields/noop/c/3/4" and len(lost) < times:
            lost.append(key)
        else:
            put(self, key, data)

    monkeypatch.setattr(LocalStorage, "put", losing)
    monkeypatch.setattr(LocalStorage, "durable", False)
    job = calling(lambda index: None)
    if times == 3:
        with pytest.raises(Failure, match=r"1 shards of fields/noop were written 3 times and do not exist"):
            run_plans(store, [plan_job(store, job)], LOCAL, quiet)
        assert not store.record("fields/noop")["complete"]
    else:
        assert run_plans(store, [plan_job(store, job)], LOCAL, quiet).num_shards == 301
        assert store.written("fields/noop").all()


@pytest.mark.parametrize(
    "key",
    [
        "images/a/labels/target/zarr.json",
        "images/a/labels/instances/zarr.json",
        "images/a/zarr.json",
        "images/a/labels/zarr.json",
    ],
)
def test_small_objects_that_are_lost_are_written_again(store: Store, files: Path, key: str) -> None:
    run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
    whole = tree(store.url)
    Path(store.url, key).unlink()
    import_images(store.url, [str(files / "images")], [str(files / "masks")], ImportParams(), LOCAL)
    assert not run_stage(store, STAGES["weights"], WeightsParams(), LOCAL).shards_written
    assert tree(store.url) == whole


def test_weights_of_no_images(tmp_path: Path) -> None:
    empty = Store.open_or_create(str(tmp_path / "ds.zarr"))
    with pytest.raises(InvalidInput, match=r"holds no images\n  to do:   run: unetprep import"):
        run_stage(empty, STAGES["weights"], WeightsParams(), LOCAL)


# -- kills and power cuts ---------------------------------------------------------------------------------------------


def do_it_all(folder: Path, url: str) -> Store:
    import_images(url, [str(folder / "images")], [str(folder / "masks")], ImportParams(), Scheduler(workers=1))
    store = Store.open(url)
    for name, params in (("weights", WeightsParams()), ("deform", DeformParams(fields=9)), ("tiles", TILES)):
        run_stage(store, STAGES[name], params, Scheduler(workers=1))
    return store


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, bytes], int]]:
    """The files of a small data set, the store made of it in one go, and how many writes and deletions that took."""
    import tifffile

    from tests.synthetic import cell_image, cell_labels

    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layout.PIXEL_CHUNK, 2, (1, 16, 16))
        patch.setitem(layout.PIXEL_SHARD, 2, (1, 64, 64))
        for kind in ("images", "masks"):
            (folder / kind).mkdir()
        labels = cell_labels((90, 70), 12)
        tifffile.imwrite(folder / "images/a.tif", cell_image(labels))
        tifffile.imwrite(folder / "masks/a.tif", labels)
        count = count_writes(lambda: do_it_all(folder, str(folder / "whole.zarr")))
        yield folder, tree(folder / "whole.zarr"), count


def chances(number: int, seed: int) -> list[float]:
    return [random.Random(seed + k).random() for k in range(number)]


@pytest.mark.parametrize("when", chances(6, 100))
@pytest.mark.parametrize("done", [False, True])
def test_a_kill_at_any_write_or_deletion_is_made_good(
    undisturbed: tuple[Path, dict[str, bytes], int], tmp_path: Path, when: float, done: bool
) -> None:
    """Before it, or just after it."""
    folder, whole, count = undisturbed
    url = str(tmp_path / "ds.zarr")
    kill_and_repeat(lambda: do_it_all(folder, url), int(when * count), done)
    assert tree(url) == whole


class Disk:
    """A disk that has only what was synced: contents by a file's fsync, names by that of its folder."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.synced: set[int] = set()
        self.renamed: dict[Path, tuple[int, bytes | None]] = {}
        fsync, replace, sync_path = os.fsync, os.replace, atomic.sync_path

        def syncing(descriptor: int) -> None:
            self.synced.add(os.fstat(descriptor).st_ino)
            fsync(descriptor)

        def replacing(source: Path, target: Path) -> None:
            before = target.read_bytes() if target.exists() else None
            replace(source, target)
            self.renamed[target] = (target.stat().st_ino, before)

        def syncing_folder(path: Path) -> None:
            for target in [t for t in self.renamed if t.parent == path]:
                del self.renamed[target]
            sync_path(path)

        patch.setattr(os, "fsync", syncing)
        patch.setattr(os, "replace", replacing)
        patch.setattr(atomic, "sync_path", syncing_folder)

    def cut(self, root: Path, chance: random.Random) -> None:
        """Take away what was never synced: contents become empty, and names may or may not be there."""
        for target, (_, before) in self.renamed.items():
            if chance.random() < 0.5:
                target.unlink() if before is None else target.write_bytes(before)
        for path in root.rglob("*"):
            if path.is_file() and path.stat().st_ino not in self.synced:
                path.write_bytes(b"")


@pytest.mark.parametrize("seed", range(7))
def test_a_power_cut_at_any_moment_is_made_good(
    undisturbed: tuple[Path, dict[str, bytes], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    folder, whole, count = undisturbed
    chance = random.Random(seed)
    left = int(chance.random() * count * 3)
    url = str(tmp_path / "ds.zarr")
    with monkeypatch.context() as patch:
        disk = Disk(patch)

        def dying(function: Callable[..., None]) -> Callable[..., None]:
            def call(*arguments: object) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                function(*arguments)

            return call

        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(os, "replace", dying(os.replace))
        patch.setattr(atomic, "sync_path", dying(atomic.sync_path))
        try:
            do_it_all(folder, url)
        except Killed:
            disk.cut(Path(url), chance)
    lock._held.clear()
    do_it_all(folder, url)
    assert tree(url) == whole
