"""What a stage has left to do on a store, decided before anything is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from unetprep.errors import Conflict
from unetprep.grid import Index
from unetprep.layout import ArraySpec
from unetprep.params import option_name
from unetprep.stage import Job
from unetprep.store import Store


@dataclass(frozen=True)
class JobPlan:
    """The arrays of a job that are to be made (anew), and the shards that are to be computed."""

    job: Job
    create: tuple[ArraySpec, ...]
    missing: tuple[Index, ...]

    @property
    def num_shards(self) -> int:
        """All shards of the job, done or not."""
        total = 1
        for n in self.job.num_shards:
            total *= n
        return total


def plan_job(store: Store, job: Job, overwrite: bool = False) -> JobPlan:
    """Compare a job with what stands in the store.

    An array of the same fingerprint is kept, and only its missing shards are computed. One that was made in another way
    is a Conflict that says what differs, unless `overwrite`, which makes everything anew.
    """
    create = []
    for spec in job.outputs:
        record = store.record(spec.path)
        if overwrite or not record:
            create.append(spec)
        elif record.get("fingerprint") != spec.provenance.fingerprint:
            raise Conflict(
                f"{spec.path} is in {store.url} already, made in another way: {_difference(record, spec)}",
                hint="repeat the command with --overwrite to replace it, or write to another store",
            )
    done = set() if create else set.intersection(*(_tasks_done(store, spec, job) for spec in job.outputs))
    return JobPlan(job, tuple(create), tuple(i for i in _indices(job) if i not in done))


def _indices(job: Job) -> Iterator[Index]:
    return product(*map(range, job.num_shards))


def _tasks_done(store: Store, spec: ArraySpec, job: Job) -> set[Index]:
    """The tasks whose shard of this output is there. Axes that only some outputs have are not divided."""
    ndim = len(job.num_shards)
    return {(index + (0,) * ndim)[:ndim] for index in store.written_shards(spec.path)}


def _difference(record: dict[str, Any], spec: ArraySpec) -> str:
    asked = spec.provenance
    if record.get("stage") != asked.stage:
        return f"by {record.get('stage', 'something else')}"
    if record["kernel_version"] != asked.kernel_version:
        return f"by version {record['kernel_version']} of the computation, this one is {asked.kernel_version}"
    there = record["parameters"]
    for key, value in asked.parameters.items():
        if there.get(key) != value:
            return f"{option_name(key)} is {_short(there.get(key))} there and {_short(value)} now"
    changed = [path for path, value in asked.inputs.items() if record["inputs"].get(path) != value]
    return f"from other {', '.join(changed[:3]) or 'inputs'}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
