"""Recomputation of the shards that an edit of labels affects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from unetprep.engine.pending import JobPlan, plan_jobs
from unetprep.engine.run import run_plans
from unetprep.engine.scheduler import Scheduler
from unetprep.engine.thread_tasks import OnProgress
from unetprep.format.boxes import Box, Index
from unetprep.format.layout import CUT, ArraySpec, counts_path, labels_path, weights_path
from unetprep.format.sharding import shard_key
from unetprep.params import WeightsParams
from unetprep.relabeling.affected import affected_shards, affected_tiles
from unetprep.relabeling.edited_stack import EditedStackJob, edited_stack
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


def invalidate(store: Store, groups: Iterable[str]) -> None:
    """Mark all arrays that follow from the labels of some groups as unfinished, those that depend on others first."""
    for path in TILE_ARRAYS:
        store.invalidate(path)
    for group in groups:
        labels, target = labels_path(group, "instances"), labels_path(group, "target")
        for path in (weights_path(group), counts_path(group), target, labels):
            store.invalidate(path)


class Updater:
    """Recomputes labels, targets, weights and tiles, each kind of array from those before."""

    def __init__(self, store: Store, scheduler: Scheduler, journal: Journal, on_progress: OnProgress) -> None:
        self.shards: dict[str, Shares] = {}  # by kind of array
        self.class_weights: tuple[list[float], list[float]] | None = None  # before and after, if they change
        self._store, self._scheduler, self._journal, self._on_progress = store, scheduler, journal, on_progress

    def run(self, jobs: Mapping[str, LabelsJob]) -> None:
        """Recompute whatever `jobs`, those of the edited labels, affect."""
        none, alone = (0, 0, 0), []
        stacks: dict[str, dict[int, LabelsJob]] = {}
        for name, job in jobs.items():
            place = self._store.place(name)
            if place.index is None:
                alone.append((job, affected_shards(job.outputs[0], self._changed(place.group), none)))
            else:
                stacks.setdefault(place.group, {})[place.index] = job
        self._update("instances", alone)
        for group, edited in stacks.items():
            self._update_stack(edited_stack(self._store, group, edited), self._changed(group))
        self._update_targets(dict.fromkeys(self._store.place(name).group for name in jobs))
        halos = self._update_weights()
        self._update_tiles(halos)

    def _changed(self, group: str) -> list[Box]:
        """The boxes that change in the arrays of a group."""
        places = {name: self._store.place(name) for name in self._journal.changed}
        return [
            place.box(box)
            for name, place in places.items()
            if place.group == group
            for box in self._journal.changed[name]
        ]

    def _update_stack(self, job: EditedStackJob, changed: Sequence[Box]) -> None:
        """Replace the shards of the labels of a stack that hold edited images. They are not deleted before: the other
        images in them are taken from there."""
        (spec,) = job.outputs
        affected = sorted(affected_shards(spec, changed, (0, 0, 0)))
        self._store.invalidate_shards(spec, ())
        numbers = np.array([np.ravel_multi_index(index, job.num_shards) for index in affected], np.int64)
        run_plans(self._store, [JobPlan(job, (), numbers)], self._scheduler, self._on_progress)
        total, before = prod(job.num_shards), self.shards.get("instances", Shares())
        num = before.recomputed + len(affected)
        self.shards["instances"] = Shares(num, before.kept + total - len(affected))

    def _update_targets(self, groups: Iterable[str]) -> None:
        todo = []
        for group in groups:
            if self._store.record(labels_path(group, "target")):
                params = WeightsParams(separate=separate_of(self._store, group))
                (job,) = plan_targets(self._store, params, [group])
                todo.append((job, affected_shards(job.outputs[0], self._changed(group), job.halo)))
        self._update("target", todo)

    def _update_weights(self) -> dict[str, tuple[int, ...]]:
        """The maps of all images, since the class weights may change. Returns the halo of each."""
        journal, todo = self._journal, []
        halos: dict[str, tuple[int, ...]] = {}  # by group
        for group in self._store.groups:
            made = self._store.record(weights_path(group))
            if not made:
                continue
            (job,) = plan_weights(self._store, self._weights_params(group), [group])
            (spec,) = job.outputs
            now = spec.provenance.parameters["class_weights"]
            halos[group] = job.halo
            is_new = journal.everything or made["parameters"]["class_weights"] != now
            todo.append((job, None if is_new else affected_shards(spec, self._changed(group), job.halo)))
            if journal.class_weights and journal.class_weights != now:
                self.class_weights = (journal.class_weights, now)
        self._update("weights", todo)
        return {place.name: halos[place.group] for place in self._store.places.values() if place.group in halos}

    def _weights_params(self, group: str) -> WeightsParams:
        params = weights_params(self._store, group)
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
