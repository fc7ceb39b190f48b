"""Recomputation of the shards that an edit of labels affects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from unetprep.engine.pending import plan_jobs
from unetprep.engine.run import run_plans
from unetprep.engine.scheduler import Scheduler
from unetprep.engine.thread_tasks import OnProgress
from unetprep.format.boxes import Index
from unetprep.format.layout import CUT, ArraySpec, counts_path, labels_path, weights_path
from unetprep.format.sharding import shard_key
from unetprep.params import WeightsParams
from unetprep.relabeling.affected import affected_shards, affected_tiles
from unetprep.relabeling.journal import Journal
from unetprep.relabeling.preconditions import TILE_ARRAYS
from unetprep.stages.base import Job
from unetprep.stages.from_provenance import separate_of, tiles_params, weights_params
from unetprep.stages.import_jobs import LabelsJob
from unetprep.stages.tiles import TilesJob, plan_tiles
from unetprep.stages.weights import plan_targets, plan_weights
from unetprep.store import Store


@dataclass(frozen=True)
class Shares:
    """Shards of one kind of array: how many were recomputed, and how many were kept."""

    recomputed: int = 0
    kept: int = 0


def invalidate(store: Store, names: Iterable[str]) -> None:
    """Mark all arrays that follow from the labels of some images as unfinished, those that depend on others first."""
    for path in TILE_ARRAYS:
        store.invalidate(path)
    for name in names:
        labels, target = labels_path(name, "instances"), labels_path(name, "target")
        for path in (weights_path(name), counts_path(name), target, labels):
            store.invalidate(path)


class Updater:
    """Recomputes labels, targets, weights and tiles, each kind of array from those before."""

    def __init__(self, store: Store, scheduler: Scheduler, journal: Journal, on_progress: OnProgress) -> None:
        self.shards: dict[str, Shares] = {}  # by kind of array
        self.class_weights: tuple[list[float], list[float]] | None = None  # before and after, if they change
        self._store, self._scheduler, self._journal, self._on_progress = store, scheduler, journal, on_progress

    def run(self, jobs: Mapping[str, LabelsJob]) -> None:
        """Recompute whatever `jobs`, those of the edited labels, affect."""
        changed = self._journal.changed
        none = (0, 0, 0)
        self._update("instances", [(job, affected_shards(job.outputs[0], changed[n], none)) for n, job in jobs.items()])
        self._update_targets(jobs)
        halos = self._update_weights()
        self._update_tiles(halos)

    def _update_targets(self, names: Iterable[str]) -> None:
        todo = []
        for name in names:
            if self._store.record(labels_path(name, "target")):
                params = WeightsParams(separate=separate_of(self._store, name))
                (job,) = plan_targets(self._store, params, [name])
                todo.append((job, affected_shards(job.outputs[0], self._journal.changed[name], job.halo)))
        self._update("target", todo)

    def _update_weights(self) -> dict[str, tuple[int, ...]]:
        """The maps of all images, since the class weights may change. Returns the halo of each."""
        journal, halos, todo = self._journal, {}, []
        for name in self._store.names:
            made = self._store.record(weights_path(name))
            if not made:
                continue
            (job,) = plan_weights(self._store, self._weights_params(name), [name])
            (spec,) = job.outputs
            now = spec.provenance.parameters["class_weights"]
            halos[name] = job.halo
            is_new = journal.everything or made["parameters"]["class_weights"] != now
            todo.append((job, None if is_new else affected_shards(spec, journal.changed.get(name, ()), job.halo)))
            if journal.class_weights and journal.class_weights != now:
                self.class_weights = (journal.class_weights, now)
        self._update("weights", todo)
        return halos

    def _weights_params(self, name: str) -> WeightsParams:
        params = weights_params(self._store, name)
        if not self._journal.class_weights:
            return params
        background, cell = self._journal.class_weights
        return replace(params, class_weights="balanced" if self._journal.balanced else (background, cell))

    def _update_tiles(self, halos: Mapping[str, tuple[int, ...]]) -> None:
        if self._store.record(CUT):
            (tiles,) = plan_tiles(self._store, tiles_params(self._store))
            assert isinstance(tiles, TilesJob)
            is_new = self._journal.everything or self.class_weights is not None
            affected = None if is_new else affected_tiles(tiles, self._journal.changed, halos)
            self._update("tiles", [(tiles, affected)])

    def _update(self, kind: str, todo: Sequence[tuple[Job, set[Index] | None]]) -> None:
        """Recompute the affected shards of some jobs, or all of them (None), where their inputs have changed."""
        store, jobs = self._store, []
        for job, affected in todo:
            made = [store.record(spec.path) for spec in job.outputs]
            others = [
                s for s, m in zip(job.outputs, made, strict=True) if m.get("fingerprint") != s.provenance.fingerprint
            ]
            if not others and all(m["complete"] for m in made):
                continue
            for spec in others:
                store.invalidate_shards(spec, _keys(job, spec, affected))
            jobs.append(job)
        plans = plan_jobs(store, jobs)
        done = run_plans(store, plans, self._scheduler, self._on_progress)
        total = sum(plan.num_shards for plan in plans)
        self.shards[kind] = Shares(done.num_shards, total - done.num_shards)


def _keys(job: Job, spec: ArraySpec, affected: set[Index] | None) -> list[str]:
    """The keys of some shards of an array, or of all (None), below its path."""
    indices: Iterable[Index] = product(*map(range, job.num_shards)) if affected is None else sorted(affected)
    return [shard_key((index + (0,) * len(spec.shape))[: len(spec.shape)]) for index in indices]
