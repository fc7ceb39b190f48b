"""Pending shards of a stage: the difference between the store and what the stage should have written."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import Conflict
from unetprep.format.layout import ArraySpec
from unetprep.parameter import option_name
from unetprep.stages.base import Job
from unetprep.store import Store

PLANNING_THREADS = 16


@dataclass(frozen=True)
class JobPlan:
    """The arrays of a job that are to be created, and its pending shards, by number in C order."""

    job: Job
    create: tuple[ArraySpec, ...]
    missing: NDArray[np.int64]

    @property
    def num_shards(self) -> int:
        """The number of all shards of the job, existing or pending."""
        return prod(self.job.num_shards)


def plan_jobs(store: Store, jobs: Sequence[Job], overwrite: bool = False) -> list[JobPlan]:
    """Plan many jobs concurrently: planning mostly waits for the disk or for a server."""
    with ThreadPoolExecutor(PLANNING_THREADS) as executor:
        return list(executor.map(lambda job: plan_job(store, job, overwrite), jobs))


def plan_job(store: Store, job: Job, overwrite: bool = False) -> JobPlan:
    """Compare a job with the store.

    An array of the same fingerprint is kept, and only its missing shards are pending. One of another fingerprint is a
    Conflict that names the difference, unless `overwrite`, which makes all shards pending.
    """
    create = []
    for spec in job.outputs:
        record = {} if overwrite else store.record(spec.path)
        if not record and not overwrite and store.is_foreign(spec.path):
            raise Conflict(
                f"{spec.path} is in {store.url} already, and unetprep did not make it: it carries no provenance",
                hint="move it away, write to another store, or repeat the command with --overwrite to replace it",
            )
        if not record:
            create.append(spec)
        elif record.get("fingerprint") != spec.provenance.fingerprint:
            raise Conflict(
                f"{spec.path} is in {store.url} already, made in another way: {_difference(record, spec)}",
                hint="repeat the command with --overwrite to replace it, or write to another store",
            )
    missing = np.arange(prod(job.num_shards)) if create else missing_shards(store, job)
    return JobPlan(job, tuple(create), missing)


def missing_shards(store: Store, job: Job) -> NDArray[np.int64]:
    """The numbers of the shards that are missing in an output; axes that only some outputs have are not divided."""
    return np.flatnonzero(~np.logical_and.reduce([store.written(spec.path).ravel() for spec in job.outputs]))


def _difference(record: dict[str, Any], spec: ArraySpec) -> str:
    asked = spec.provenance
    if record.get("stage") != asked.stage:
        return f"by {record.get('stage', 'something else')}"
    if record.get("kernel_version") != asked.kernel_version:
        return f"by version {record.get('kernel_version')} of the computation, this one is {asked.kernel_version}"
    there = record.get("parameters", {})
    for key, value in asked.parameters.items():
        if key == "images" and there.get(key) != value:
            return "of other images, or with other splits, intensity ranges or sizes"
        if isinstance(value, dict) and isinstance(there.get(key), dict) and there[key] != value:
            name = next(n for n in (*value, *there[key]) if there[key].get(n) != value.get(n))
            return (
                f"{option_name(key)}: {name} is {_short(there[key].get(name))} there and {_short(value.get(name))} now"
            )
        if there.get(key) != value:
            why = " (balanced, they follow the training images)" if key == "class_weights" else ""
            return f"{option_name(key)} is {_short(there.get(key))} there and {_short(value)} now{why}"
    for key in sorted(set(there) - set(asked.parameters)):
        return f"{option_name(key)} is {_short(there[key])} there and is not given now"
    changed = [path for path, value in asked.inputs.items() if record.get("inputs", {}).get(path) != value]
    return f"from other {', '.join(changed[:3]) or 'inputs'}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
