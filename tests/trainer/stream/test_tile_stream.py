"""The stream: an order that depends on (seed, epoch, step) alone, and threads that end."""

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import zarr

from tests.trainer.conftest import Sample
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import Augmentation
from unettrain.data.opening import open_tiles
from unettrain.data.tiles import StoredTile, Tiles
from unettrain.errors import Failure, InvalidInput
from unettrain.stream.batches import Batch, ThreadBatchBuilder
from unettrain.stream.tile_stream import TileStream

MakeStore = Callable[..., Path]
NUM_TRAIN = 13


def same(a: Batch, b: Batch) -> bool:
    pairs = ((a.image, b.image), (a.target, b.target), (a.weights, b.weights), (a.indices, b.indices))
    return all(torch.equal(x, y) for x, y in pairs)


def stream_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("unettrain-stream")]


def test_batches_have_the_shapes_and_types_of_training(make_store: MakeStore) -> None:
    batch = next(iter(TileStream(make_store(), batch_size=3)))
    assert (batch.image.shape, batch.image.dtype) == ((3, 1, 60, 60), torch.float32)
    assert (batch.target.shape, batch.target.dtype) == ((3, 20, 20), torch.int64)
    assert (batch.weights.shape, batch.weights.dtype) == ((3, 20, 20), torch.float32)
    assert (batch.indices.shape, batch.indices.dtype) == ((3,), torch.int64)
    assert 0.1 < float(batch.image.mean()) < 0.9


def test_without_augmentation_they_are_the_stored_tiles(make_store: MakeStore) -> None:
    store = make_store(num_fields=0)
    tiles = open_tiles(store)
    for batch in TileStream(store, "val", batch_size=2, augmentation=NO_AUGMENTATION, num_steps=2):
        for k, index in enumerate(batch.indices.tolist()):
            stored = tiles.read(index)
            assert index in tiles.indices("val")
            np.testing.assert_array_equal(batch.image[k], stored.image[:, 8:-8, 8:-8] / np.float32(255))
            np.testing.assert_array_equal(batch.target[k], stored.target[8:-8, 8:-8])
            np.testing.assert_array_equal(batch.weights[k], stored.weights[8:-8, 8:-8])


@pytest.mark.parametrize("batch_size", [1, 4, 13])
def test_every_epoch_takes_every_tile_once_in_another_order(make_store: MakeStore, batch_size: int) -> None:
    stream = TileStream(make_store(), batch_size=batch_size)
    samples = [sample for step in range(60) for sample in stream.samples(step)]
    epochs = [[tile for epoch, tile, _ in samples if epoch == e] for e in range(samples[-1][0])]
    assert [epoch for epoch, *_ in samples] == sorted(epoch for epoch, *_ in samples)
    assert all(Counter(epoch) == Counter(range(NUM_TRAIN)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == len(epochs) > 3


def test_the_order_depends_on_the_seed(make_store: MakeStore) -> None:
    store = make_store()
    orders = [[TileStream(store, seed=seed).samples(k) for k in range(NUM_TRAIN)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_starting_at_any_step_goes_on_as_if_never_stopped(make_store: MakeStore) -> None:
    store = make_store()
    whole = list(TileStream(store, batch_size=2, num_steps=20))
    for step in np.random.default_rng().choice(20, 4, replace=False).tolist():  # whichever
        rest = list(TileStream(store, batch_size=2, start_step=step, num_steps=20 - step))
        assert len(rest) == 20 - step
        assert all(map(same, whole[step:], rest)), step


@pytest.mark.parametrize(("num_threads", "num_ahead"), [(1, 1), (2, 3), (3, 2), (8, 50)])
def test_threads_change_nothing(make_store: MakeStore, num_threads: int, num_ahead: int) -> None:
    stream = TileStream(make_store(), num_steps=12, num_threads=num_threads, num_ahead=num_ahead)
    found = list(stream)
    assert len(found) == 12
    assert all(map(same, found, [stream.batch(step) for step in range(12)]))
    assert not stream_threads()


@pytest.mark.parametrize("shuffle", ["tiles", "shards"])
def test_any_number_of_ranks_shares_one_order(make_store: MakeStore, shuffle: str) -> None:
    store = make_store()
    alone = TileStream(store, batch_size=6, shuffle=shuffle)
    for world in (2, 3):
        ranks = [
            TileStream(store, batch_size=6 // world, shuffle=shuffle, rank=k, world_size=world) for k in range(world)
        ]
        for step in range(5):
            assert [sample for rank in ranks for sample in rank.samples(step)] == alone.samples(step)
            whole = alone.batch(step)
            parts = [rank.batch(step) for rank in ranks]
            for name in ("image", "target", "weights", "indices"):
                assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    with pytest.raises(InvalidInput, match="rank is 2\n  allowed: 0 to 1, since world_size is 2"):
        TileStream(store, rank=2, world_size=2)


def test_draws_that_were_written_out_make_the_same_batch(make_store: MakeStore) -> None:
    store = make_store()
    stream = TileStream(store, batch_size=3, augmentation=Augmentation(noise=0.1, blur=1.0))
    lines = [json.dumps({"tile": tile, "draw": asdict(stream.draw(e, tile))}) for e, tile, _ in stream.samples(5)]
    assert same(stream.replay(map(json.loads, lines)), stream.batch(5))
    undrawn = [{"tile": tile, "draw": {}} for _, tile, _ in stream.samples(5)]
    assert not same(stream.replay(undrawn), stream.batch(5))
    assert same(stream.replay(undrawn), TileStream(store, batch_size=3, augmentation=NO_AUGMENTATION).batch(5))
    with pytest.raises(InvalidInput, match=r"tile is 99\n  allowed: 0 to"):
        stream.replay([{"tile": 99, "draw": {}}])
    with pytest.raises(InvalidInput, match=r"field is 50\n  allowed: one of the \d+ fields"):
        stream.replay([{"tile": 0, "draw": {"field": 50}}])


def test_a_stream_that_is_closed_or_left_ends_its_threads(make_store: MakeStore) -> None:
    stream = TileStream(make_store())
    with closing(stream.batches(0)) as batches:
        assert len(list(islice(batches, 3))) == 3
        assert stream_threads()
    assert not stream_threads()
    for _ in stream:
        break
    assert not stream_threads()


def test_no_more_than_asked_is_read_ahead(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, samples = list[int](), TileStream.samples

    def noted(self: TileStream, step: int) -> list[tuple[int, int, int]]:
        begun.append(step)
        return samples(self, step)

    monkeypatch.setattr(TileStream, "samples", noted)
    with closing(TileStream(make_store(), num_ahead=3).batches(10)) as batches:
        for _ in range(5):
            next(batches)
    assert begun == [10, 11, 12, 13, 14, 15, 16]


def test_arrays_are_used_again_once_nobody_holds_them(make_store: MakeStore) -> None:
    stream = TileStream(make_store(), batch_size=2, num_steps=60)
    expected = [stream.batch(step) for step in range(60)]
    places, parts = set[int](), list[torch.Tensor]()
    for step, batch in enumerate(stream):
        assert same(batch, expected[step])
        places.add(batch.image.data_ptr())
        if step % 10 == 0:
            parts.append(batch.image[1, 0, 3:7])  # of a batch that is let go
    assert 5 <= len(places) <= 6 + len(parts) + 2
    for part, step in zip(parts, range(0, 60, 10), strict=True):
        assert torch.equal(part, expected[step].image[1, 0, 3:7])


def test_an_error_while_reading_comes_up_at_its_place(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TileStream(make_store(), num_steps=10, num_threads=3, num_ahead=6)
    broken, read = stream.samples(4)[0][1], Tiles.read

    def fail(self: Tiles, index: int, into: StoredTile | None = None) -> StoredTile:
        if index == broken:
            raise OSError("the disk is gone")
        return read(self, index, into)

    monkeypatch.setattr(Tiles, "read", fail)
    batches = iter(stream)
    assert len(list(islice(batches, 4))) == 4
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert not stream_threads()


@pytest.mark.parametrize(
    ("option", "value"), [("num_threads", -1), ("num_ahead", -5), ("seed", -1), ("start_step", -1), ("seed", 2**64)]
)
def test_numbers_that_make_no_sense_are_refused(make_store: MakeStore, option: str, value: int) -> None:
    with pytest.raises(InvalidInput, match=f"{option} is {value}"):
        TileStream(make_store(), **{option: value})  # type: ignore[arg-type]


def test_a_tile_that_comes_again_in_an_epoch_is_drawn_anew(make_store: MakeStore) -> None:
    stream = TileStream(make_store(), batch_size=13, sampling="foreground", seed=1)
    places = [where for step in range(20) for where in stream.samples(step)]
    again = [where for where in places if where[2] > 0]
    assert len(again) > 5
    drawn = {(*where, str(stream.draw(*where))) for where in places}
    assert len({(epoch, tile, what) for epoch, tile, _, what in drawn}) == len(places)


def test_a_stream_that_is_dropped_is_gone_at_once(make_store: MakeStore) -> None:
    """Its files are closed without the collector of cycles, which may be long in coming."""
    gc.collect()
    gc.disable()
    try:
        stream = TileStream(make_store(), num_threads=1)
        next(iter(stream))
        gone = weakref.ref(stream.tiles.pixels)
        del stream
        assert gone() is None
    finally:
        gc.enable()


def test_a_thread_that_cannot_be_started_leaves_none_behind(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def fails_at_the_third(self: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    stream = TileStream(make_store(), num_threads=5)
    monkeypatch.setattr(threading.Thread, "start", fails_at_the_third)
    with pytest.raises(RuntimeError, match="can't start"):
        next(iter(stream))
    assert len(started) == 2
    assert not any(thread.is_alive() for thread in started)


def test_an_empty_split_is_refused_with_what_there_is(make_store: MakeStore) -> None:
    store = make_store()
    with pytest.raises(InvalidInput, match=r"no tiles in the split 'test'\n.*train 13, val 4, test 0"):
        TileStream(store, "test")
    with pytest.raises(InvalidInput, match="allowed: train, val, test"):
        TileStream(store, "training")


def test_fields_are_needed_only_to_deform(make_store: MakeStore) -> None:
    store = make_store(num_fields=0)
    with pytest.raises(InvalidInput, match="unetprep deform"):
        TileStream(store)
    assert len(list(TileStream(store, augmentation=Augmentation(deform=False), num_steps=2))) == 2


def test_a_batch_has_at_least_one_tile(make_store: MakeStore) -> None:
    with pytest.raises(InvalidInput, match="batch_size is 0"):
        TileStream(make_store(), batch_size=0)


def test_a_batch_has_no_tile_twice(make_store: MakeStore) -> None:
    store = make_store()
    with pytest.raises(InvalidInput, match=r"takes 14 tiles, and the split 'train' .* has 13\n  allowed: .* up to 13"):
        TileStream(store, batch_size=14)
    with pytest.raises(InvalidInput, match=r"takes 14 tiles.*\n  allowed: a batch-size of up to 6\n"):
        TileStream(store, batch_size=7, world_size=2)
    with pytest.raises(InvalidInput, match=r"takes 5 tiles, and the split 'val' .* has 4"):
        TileStream(store, "val", batch_size=5)


@pytest.mark.parametrize("cubic", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_device_augments_by_the_same_draws(
    make_store: MakeStore, cells: Callable[..., Sample], dtype: str, cubic: bool
) -> None:
    drawn = [cells(50, 0), cells(37, 1)]
    store = make_store([replace(sample, image=sample.image.astype(dtype)) for sample in drawn])
    augmentation = Augmentation(noise=0.01, blur=1.0, rotation=0.5, cubic=cubic)
    by_threads = TileStream(store, batch_size=3, augmentation=augmentation, num_steps=8)
    there = TileStream(store, batch_size=3, augmentation=augmentation, num_steps=8, num_threads=2, device="cpu")
    assert [there.samples(k) for k in range(8)] == [by_threads.samples(k) for k in range(8)]
    for step, (ours, theirs) in enumerate(zip(there, by_threads, strict=True)):
        assert ours.indices.equal(theirs.indices)
        assert ours.target.equal(theirs.target)
        assert ours.image.dtype == torch.float32
        torch.testing.assert_close(ours.image, theirs.image, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.weights, theirs.weights, atol=1e-5, rtol=1e-5)
        assert same(ours, there.batch(step))
    lines = [{"tile": 2, "draw": asdict(there.draw(0, 2))}]
    torch.testing.assert_close(there.replay(lines).image, by_threads.replay(lines).image, atol=1e-5, rtol=0)


def test_a_device_that_cannot_is_refused(make_store: MakeStore) -> None:
    with pytest.raises(InvalidInput, match="mps does not support"):
        TileStream(make_store(), device="mps")


def test_10000_batches_leave_nothing_behind(make_store: MakeStore) -> None:
    """No thread, no open file, and no memory: what a batch leaves would be 10,000 times as much."""
    stream = TileStream(make_store(), batch_size=2, num_threads=2, augmentation=NO_AUGMENTATION)

    def consume(num: int) -> None:
        with closing(stream.batches(0, num)) as batches:
            for _ in batches:
                pass

    def held() -> tuple[int, int, int]:
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd")), psutil.Process().memory_info().rss

    consume(1000)
    threads, files, memory = held()
    consume(10_000)
    for _ in range(200):  # streams that are begun and given up
        next(iter(stream))
    after = held()
    assert after[:2] == (threads, files)
    assert after[2] - memory < 10_000 * 800  # a batch has 43,200 bytes


def test_a_store_that_disappears_is_an_error_that_names_what_is_gone(make_store: MakeStore) -> None:
    store = make_store()
    stream = TileStream(store, num_steps=20)
    shutil.rmtree(store)
    with pytest.raises(Failure, match=r"tiles/image/c/\d.* is missing, in .*ds.zarr"):
        list(stream)
    assert not stream_threads()


INTERRUPTED = """
import sys, threading, time
from unettrain.stream.tile_stream import TileStream
stream = TileStream(sys.argv[1], num_threads=2)
for step, batch in enumerate(stream):
    if step == 5:
        print("streaming", flush=True)
"""


def test_ctrl_c_returns_at_once(make_store: MakeStore) -> None:
    store = make_store()
    run = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(store)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "streaming\n"
    begun = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert time.monotonic() - begun < 10  # a hang would last for ever
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert run.returncode == -signal.SIGINT


def test_a_margin_that_is_too_small_is_refused_with_the_one_that_would_do(make_store: MakeStore) -> None:
    store = make_store()
    for augmentation, needed in ((Augmentation(rotation=10), 1), (Augmentation(shift=9, deform=False), 9)):
        with pytest.raises(InvalidInput, match=r"have a margin of 8 pixels.*up to (\d+) beyond them") as caught:
            TileStream(store, augmentation=augmentation)
        found = re.search(r"--tile 60 --depth 2 --margin (\d+) --overwrite", str(caught.value))
        assert found is not None
        assert int(found[1]) >= max(needed, 9)
    assert next(iter(TileStream(store, augmentation=Augmentation(deform=False, shift=8)))).image.shape[-1] == 60


def test_fields_that_do_not_cover_the_tile_are_refused(make_store: MakeStore) -> None:
    store = make_store()
    grids = zarr.open_array(str(store), path="fields/grids", mode="r+")
    grids.attrs["unetprep"] = {**grids.attrs["unetprep"], "interpolation": "cubic-bspline-approx"}  # type: ignore[dict-item]
    with pytest.raises(InvalidInput, match=r"do not fit its tiles: a grid of 3 nodes.*\n.*unetprep deform --out"):
        TileStream(store)


def test_what_a_thread_lacks_comes_up_too(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ThreadBatchBuilder) -> None:
        raise MemoryError("no room for a tile")

    stream = TileStream(make_store(), num_steps=10, num_threads=2)
    monkeypatch.setattr(ThreadBatchBuilder, "scratch", fail)
    with pytest.raises(MemoryError, match="no room for a tile"):
        next(iter(stream))
    assert not stream_threads()
