"""Batches of pending shards."""

import numpy as np

from tests.pipeline.conftest import LOCAL
from tests.pipeline.engine.calling import calling
from unetprep.engine.batches import BatchQueue
from unetprep.engine.pending import JobPlan, plan_job
from unetprep.engine.run import run_plans
from unetprep.stages.base import Job
from unetprep.store import Store


def plan_of(job: Job, numbers: list[int]) -> JobPlan:
    return JobPlan(job, job.outputs, np.array(numbers, np.int64))


def test_every_missing_shard_is_handed_out_once_and_only_with_those_of_its_job() -> None:
    first, second = calling(print), calling(print, 4, 5)
    queue = BatchQueue([plan_of(first, [3, 7, 299]), plan_of(second, []), plan_of(second, [0, 1])])
    taken = []
    while queue.num_left:
        batch = queue.take(2)
        assert batch
        taken.append((batch.job, batch.indices))
    assert taken == [(first, ((0, 3), (0, 7))), (first, ((29, 9),)), (second, ((0, 0), (1, 0)))]
    assert queue.take(2) is None


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
