"""Batches of pending shards."""

import threading
from errno import ENOSPC

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL
from tests.pipeline.engine.calling import calling
from unetprep.engine.batches import BatchQueue, ShardBatch, run_batch
from unetprep.engine.pending import JobPlan, plan_job
from unetprep.engine.run import run_plans
from unetprep.errors import Failure
from unetprep.format.boxes import Box
from unetprep.format.layout import ArraySpec
from unetprep.format.sharding import Chunks
from unetprep.stages.base import Job
from unetprep.storage.local import LocalStorage
from unetprep.store import Store


def plan_of(job: Job, numbers: list[int]) -> JobPlan:
    return JobPlan(job, job.outputs, np.array(numbers, np.int64))


def test_every_missing_shard_is_handed_out_once() -> None:
    first, second = calling(print), calling(print, 4, 5)
    queue = BatchQueue([plan_of(first, [3, 7, 299]), plan_of(second, []), plan_of(second, [0, 1]), plan_of(first, [5])])
    taken = []
    while queue.num_left:
        taken.append([(part.job, part.indices) for part in queue.take(2)])
    assert taken == [
        [(first, ((0, 3), (0, 7)))],
        [(first, ((29, 9),)), (second, ((0, 0),))],
        [(second, ((1, 0),)), (first, ((0, 5),))],
    ]
    assert queue.take(2) == ()


def test_batches_grow_until_they_last_and_leave_every_worker_its_share(store: Store) -> None:
    seen: list[tuple[int, int]] = []
    job = calling(lambda index: None)
    run_plans(store, [plan_job(store, job)], LOCAL, lambda done, total, **shown: seen.append((done, total)))
    assert [total for _, total in seen] == [300] * len(seen)
    sizes = np.diff([0, *(done for done, _ in seen)])
    assert sizes.sum() == 300
    assert sizes[0] == 1
    assert 8 < sizes.max() <= 300 / 4
    assert store.record("fields/noop")["complete"]


def test_small_shards_of_a_batch_are_written_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    together, put = threading.Barrier(8), LocalStorage.put

    def meeting(self: LocalStorage, key: str, data: bytes) -> None:
        together.wait(timeout=20)
        put(self, key, data)

    job = calling(print)
    store.create(job.outputs[0])
    monkeypatch.setattr(LocalStorage, "put", meeting)
    run_batch(store, [ShardBatch(job, tuple((k, 0) for k in range(16)))])
    assert np.flatnonzero(store.written("fields/noop").any(axis=1)).tolist() == [*range(16)]


def test_a_shard_that_cannot_be_written_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Store.write

    def failing(self: Store, spec: ArraySpec, box: Box, block: Chunks) -> None:
        if box[0].start == 4:
            raise OSError(ENOSPC, "disk on fire")
        write(self, spec, box, block)

    job = calling(print)
    store.create(job.outputs[0])
    monkeypatch.setattr(Store, "write", failing)
    with pytest.raises(Failure, match=r"shard \(2, 0\) of fields/noop could not be read or written: .*disk on fire"):
        run_batch(store, [ShardBatch(job, tuple((k, 0) for k in range(9)))])
    assert np.flatnonzero(store.written("fields/noop").any(axis=1)).tolist() == [0, 1, 3, 4, 5, 6, 7, 8]
