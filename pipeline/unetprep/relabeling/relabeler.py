"""Incremental update of a finished store after its labels were edited; only affected shards are recomputed.

The outcome is, byte for byte, the store that the edited labels would have given from the start. A journal in the record
of the group `images` says what has changed, from before anything is touched until all is done. So a run that was killed
is finished by repeating it, whatever it had reached.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from math import prod
from typing import Any

from unetprep.engine.memory import Worker, num_cores
from unetprep.engine.pending import plan_jobs
from unetprep.engine.run import Scheduler, run_plans
from unetprep.engine.thread_tasks import TASKS_A_WORKER, OnProgress, Tasks
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.boxes import Box, Index, box_shape, shard_box
from unetprep.format.layout import (
    CUT,
    IMAGES,
    JOURNAL,
    LEARNED,
    SPLITS,
    TILES,
    ArraySpec,
    absent_from_tiles,
    counts_path,
    image_path,
    labels_path,
    weights_path,
)
from unetprep.format.sharding import shard_key
from unetprep.params import ImportParams, WeightsParams
from unetprep.relabeling.affected import changed_box, touched_shards, touched_tiles
from unetprep.sources import Source, open_labels
from unetprep.sources.pairing import LABEL_ENDING
from unetprep.stages.base import Job
from unetprep.stages.from_provenance import (
    contradiction,
    separate_of,
    target_job,
    tiles_job,
    tiles_params,
    weights_job,
    weights_params,
)
from unetprep.stages.importing import LabelsJob, first_readings_bytes, plan_labels
from unetprep.stages.splits import Part
from unetprep.stages.tiles import TilesJob, plan_tiles
from unetprep.stages.weights import (
    balancing_images,
    count_pixels,
    plan_targets,
    plan_weights,
    refuse_without_cells,
)
from unetprep.storage.lock import locked
from unetprep.storage.output import check_sources
from unetprep.store import Store

TILE_ARRAYS = tuple(f"{TILES}/{name}" for name in ("image", "target", "weights", "instances", *LEARNED))
SEVERAL = 2


@dataclass(frozen=True)
class Shares:
    """Of the shards of one kind of array: how many were computed again, and how many kept."""

    recomputed: int = 0
    kept: int = 0

    def __add__(self, other: "Shares") -> "Shares":
        return Shares(self.recomputed + other.recomputed, self.kept + other.kept)


@dataclass
class Relabelled:
    """What was done."""

    images: list[str]
    changed: dict[str, int] = field(default_factory=dict)  # pixels in the boxes around what changed, by image
    shards: dict[str, Shares] = field(default_factory=dict)  # by kind of array
    class_weights: tuple[list[float], list[float]] | None = None  # before and after, if they changed
    seconds: float = 0.0


def relabel(
    url: str,
    labels: Sequence[str],
    scheduler: Scheduler,
    *,
    image: str | None = None,
    keep_class_weights: bool = False,
    on_progress: OnProgress = lambda done, total, **shown: None,
) -> Relabelled:
    """Take edited labels for images of a store that is finished, and bring all that was made from them up to date.

    A file goes with the image of its name, or with `image`; if the store was made from a single image, with that.
    `keep_class_weights` keeps the numbers of the class weights where they come from the data.

    Raises InvalidInput for an unfinished store, labels of another size, or those that an import would refuse.
    """
    start = time.perf_counter()
    check_sources(url, labels)
    Store.open(url)
    with locked(Store(url).storage, url):
        store = Store.open(url)
        parts = [part for path in labels for part in parts_of(store, path, image)]
        names = [part.name for part in parts]
        if len(set(names)) < len(names):
            raise InvalidInput(f"{labels} hold labels for one image twice: {names}", allowed="one file for each image")
        done = _Relabelling(store, parts, scheduler, keep_class_weights, on_progress).run()
    done.seconds = time.perf_counter() - start
    return done


# -- which labels go with which images --------------------------------------------------------------------------------


def parts_of(store: Store, path: str, image: str | None) -> list[Part]:
    """The images that a file holds the labels of: one, or the strips into which one was cut at import."""
    source = open_labels(path)
    names = _names_of(store, image or LABEL_ENDING.sub("", source.stem) or source.stem)
    if not names and image is None:
        whole = {_whole(name) for name in store.names}
        names = _names_of(store, whole.pop()) if len(whole) == 1 else []
    if not names:
        raise InvalidInput(
            f"{store.url} has no image {image or source.stem!r}",
            allowed=", ".join(store.names[:5]) + (", ..." if store.names[5:] else ""),
            hint="say which one with --image",
        )
    shapes = {name: store.shards(labels_path(name, "instances")).shape for name in names}
    boxes = _boxes(shapes, source)
    return [Part(name, None, source, (slice(0, 1), *boxes[name]), _split(store, name)) for name in names]


def _names_of(store: Store, name: str) -> list[str]:
    strips = [f"{name}-{split}" for split in SPLITS if f"{name}-{split}" in store.names]
    return [name] if name in store.names else strips


def _whole(name: str) -> str:
    whole, _, split = name.rpartition("-")
    return whole if split in SPLITS else name


def _boxes(shapes: Mapping[str, tuple[int, ...]], source: Source) -> dict[str, Box]:
    """Where each image lies in a file: it is the whole file, or they follow each other along one axis."""
    size = source.shape[1:]
    for axis in range(3):
        others = {tuple(n for a, n in enumerate(shape) if a != axis) for shape in shapes.values()}
        rest = tuple(n for a, n in enumerate(size) if a != axis)
        if others == {rest} and sum(shape[axis] for shape in shapes.values()) == size[axis]:
            boxes, start = {}, 0
            for name, shape in shapes.items():
                box = [slice(0, n) for n in size]
                box[axis] = slice(start, start + shape[axis])
                boxes[name], start = tuple(box), start + shape[axis]
            return boxes
    raise InvalidInput(
        f"{source.path} has {size} pixels (z, y, x), and {', '.join(f'{n} {s}' for n, s in shapes.items())}",
        allowed="labels of the same size as those that they replace",
    )


def _split(store: Store, name: str) -> str:
    return str(store.parameters(labels_path(name, "instances"), "split")["split"])


def _import_params(store: Store, name: str) -> ImportParams:
    path = labels_path(name, "instances")
    made = store.parameters(path, "instances", "dims", "connectivity", "ignore_label")
    pieces = made["instances"] == "components"
    ids = "auto" if pieces or _num_ids(store, labels_path(name, "instances")) != 1 else "ids"
    return ImportParams(
        spacing=tuple(size for size in made.get("spacing", ()) if size is not None) or None,
        unit=made.get("unit", ""),
        dims=made["dims"],
        instances="components" if pieces else ids,
        connectivity=made["connectivity"] if pieces else "auto",
        ignore_label=made["ignore_label"],
    )


def _num_ids(store: Store, path: str) -> int:
    """How many numbers labels hold, counted up to 2. With 1 they may have been imported as --instances ids."""
    seen: set[int] = set()
    shards = store.shards(path)
    for index in product(*map(range, shards.counts)):
        try:
            block = store.read(path, shard_box(index, shards.shape, shards.shard))
        except FileNotFoundError:  # deleted by a run that was killed
            continue
        cells = block[block > 0]
        seen |= {int(cells.min()), int(cells.max())} if cells.size else set()
        if len(seen) >= SEVERAL:
            break
    return min(len(seen), SEVERAL)


# -- the work ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Journal:
    """What a run that is under way is doing; the next one goes on from it."""

    fingerprints: dict[str, str]  # of the labels to be, by image
    changed: dict[str, list[Box]]  # by image: boxes that hold all pixels that change
    class_weights: (
        list[float] | None
    )  # those before the edit; None without weight maps, or where the formula has its own
    balanced: bool  # whether these came from the data, and are to follow them
    everything: bool = False  # whether weights and tiles may hold something of an earlier edit that was given up
    voided: bool = False  # whether all that is to be renewed has been marked

    def as_record(self) -> dict[str, Any]:
        """As JSON can hold it."""
        changed = {name: [_as_text(box) for box in boxes] for name, boxes in self.changed.items()}
        return {**vars(self), "changed": changed}

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> "Journal":
        """From the store."""
        changed = {name: [_as_box(text) for text in boxes] for name, boxes in record["changed"].items()}
        return Journal(**{**record, "changed": changed})


def _as_text(box: Box) -> str:
    return " ".join(f"{b.start}:{b.stop}" for b in box)


def _as_box(text: str) -> Box:
    return tuple(slice(*map(int, part.split(":"))) for part in text.split())


class _Relabelling:
    """One run: what changed, then the arrays that follow from it, one kind after the other."""

    def __init__(
        self, store: Store, parts: Sequence[Part], scheduler: Scheduler, keep: bool, on_progress: OnProgress
    ) -> None:
        self._store, self._scheduler, self._on_progress, self._keep = store, scheduler, on_progress, keep
        threads = scheduler.num_workers if scheduler.address == "local" else num_cores()
        self._reader = Worker(scheduler.memory_bytes, threads)  # this process, which compares
        self._parts = {part.name: part for part in parts}
        self._done = Relabelled(list(self._parts))

    def run(self) -> Relabelled:
        """All of it."""
        found = self._store.record(IMAGES).get(JOURNAL)
        before = Journal.of_record(found) if found else None
        if before is None:
            self._refuse_unfinished()
        elif not set(before.fingerprints) <= set(self._parts):
            raise Conflict(
                f"new labels of {', '.join(before.fingerprints)} are coming into {self._store.url}: a run was stopped",
                hint="repeat that command first, or give these labels together with the others",
            )
        jobs = self._labels_jobs()
        changed = self._changed(jobs)
        fingerprints = {name: job.outputs[0].provenance.fingerprint for name, job in jobs.items()}
        if before is None and not any(self._is_other(job) for job in jobs.values()):
            return self._done
        journal = self._journal(before, fingerprints, changed)
        if journal.balanced:
            self._refuse_without_cells(jobs)
        self._done.changed = {n: sum(_num_pixels(b) for b in boxes) for n, boxes in journal.changed.items()}
        self._write(journal)
        if not journal.voided:
            self._void()
            journal = replace(journal, voided=True)
            self._write(journal)
        self._renew_all(jobs, journal)
        self._finish()
        return self._done

    def _refuse_unfinished(self) -> None:
        store = self._store
        for name in self._parts:
            path = labels_path(name, "instances")
            if store.state(path) == "finished" and not store.written(path).all():
                raise InvalidInput(
                    f"{path} of {store.url} lacks shards, so what is to be changed is not known",
                    hint="repeat the import that wrote it; it writes the shards that are missing or cut short",
                )
        some = any(store.record(weights_path(name)) for name in store.names)
        for name in store.names:
            labels, target, maps = labels_path(name, "instances"), labels_path(name, "target"), weights_path(name)
            self._refuse_state([p for p in (labels, target, counts_path(name), maps) if store.record(p) or p == labels])
            for path, job in ((target, target_job), (maps, weights_job)):
                if store.record(path):
                    self._refuse_other(path, job(store, name))
                elif some:
                    raise InvalidInput(
                        f"{path} is missing in {store.url}, which has weights of other images",
                        hint=f"run: unetprep weights --out {store.url}",
                    )
        if made := store.record(CUT).get("parameters"):
            absent = absent_from_tiles(made)
            self._refuse_state(path for path in TILE_ARRAYS if path.rpartition("/")[2] not in absent)
            self._refuse_other(CUT, tiles_job(store))

    def _refuse_state(self, paths: Iterable[str]) -> None:
        for path in paths:
            state = self._store.state(path)
            if state != "finished":
                raise InvalidInput(
                    f"{path} is {state} in {self._store.url}",
                    allowed="a store that is finished: then it is known what is to be made anew",
                    hint="repeat the command that makes it" + (", with --overwrite" if state == "stale" else ""),
                )

    def _refuse_other(self, path: str, job: Job | None) -> None:
        if job is None or contradiction(self._store, job):
            raise InvalidInput(
                f"{path} of {self._store.url} was made by another release, or of other images",
                hint="make it anew, with --overwrite",
            )

    def _labels_jobs(self) -> dict[str, LabelsJob]:
        by_file: dict[str, list[Part]] = {}
        for part in self._parts.values():
            by_file.setdefault(part.labels.path, []).append(part)
        jobs: dict[str, LabelsJob] = {}
        for parts in by_file.values():
            params = _import_params(self._store, parts[0].name)
            self._reader.threads_for(first_readings_bytes(parts, params))
            planned = plan_labels(parts, params)
            jobs |= {part.name: job for part, job in zip(parts, planned, strict=True)}
        return jobs

    def _changed(self, jobs: Mapping[str, LabelsJob]) -> dict[str, list[Box]]:
        """Hold the labels to be against those that are stored, shard by shard."""
        stored = {name: 4 * job.num_values(job.outputs[0]) for name, job in jobs.items()}
        num_workers = self._reader.threads_for(max(job.working_set() + stored[name] for name, job in jobs.items()))
        with ThreadPoolExecutor(num_workers) as executor:
            tasks = Tasks(executor, num_workers * TASKS_A_WORKER, self._on_progress)
            found = {}
            for name, job in jobs.items():
                compare = [
                    partial(_changed_in, self._store, job, index) for index in product(*map(range, job.num_shards))
                ]
                found[name] = [box for box in tasks.run(compare) if box]
        return found

    def _is_other(self, job: Job) -> bool:
        (spec,) = job.outputs
        return bool(self._store.record(spec.path).get("fingerprint") != spec.provenance.fingerprint)

    def _journal(self, before: Journal | None, fingerprints: dict[str, str], changed: dict[str, list[Box]]) -> Journal:
        if before is None:
            numbers, balanced = self._class_weights()
            return Journal(fingerprints, changed, numbers, balanced and not self._keep)
        boxes = {
            n: [_as_box(t) for t in sorted({*map(_as_text, (*before.changed.get(n, ()), *changed[n]))})]
            for n in changed
        }
        balanced = before.balanced and not self._keep
        same = (fingerprints, balanced) == (before.fingerprints, before.balanced)
        if same:
            return replace(before, changed=boxes)
        return Journal(fingerprints, boxes, before.class_weights, balanced, everything=True)

    def _class_weights(self) -> tuple[list[float] | None, bool]:
        """The class weights of the store, and whether they are those that its labels give."""
        store = self._store
        name = next(iter(self._parts))
        made = store.record(weights_path(name))
        if not made or weights_params(store, name).class_weights == "auto":
            return None, False
        if not count_pixels(store, balancing_images(store))[1]:  # nothing that could be balanced
            return made["parameters"]["class_weights"], False
        (job,) = plan_weights(store, replace(weights_params(store, name), class_weights="balanced"), [name])
        return made["parameters"]["class_weights"], not self._is_other(job)

    def _refuse_without_cells(self, jobs: Mapping[str, LabelsJob]) -> None:
        """Raise InvalidInput if the edited labels leave no cell in the images that balance the classes."""
        names = balancing_images(self._store)
        edited = [job.outputs[0].extra["largest_label"] for name, job in jobs.items() if name in names]
        if not any(edited) and not count_pixels(self._store, [name for name in names if name not in jobs])[1]:
            refuse_without_cells(self._store, "--keep-class-weights keeps those of the store")

    def _write(self, journal: Journal) -> None:
        self._store.update_record(IMAGES, **{JOURNAL: journal.as_record()})

    def _void(self) -> None:
        """What depends on others first, so that nobody takes old and new for a whole."""
        for path in TILE_ARRAYS:
            self._store.void(path)
        for name in self._parts:
            for path in (
                weights_path(name),
                counts_path(name),
                labels_path(name, "target"),
                labels_path(name, "instances"),
            ):
                self._store.void(path)

    def _renew_all(self, jobs: Mapping[str, LabelsJob], journal: Journal) -> None:
        store, changed = self._store, journal.changed
        self._bring(
            "instances", [(job, touched_shards(job.outputs[0], changed[n], (0, 0, 0))) for n, job in jobs.items()]
        )
        targets = []
        for name in self._parts:
            if store.record(labels_path(name, "target")):
                (job,) = plan_targets(store, WeightsParams(separate=separate_of(store, name)), [name])
                targets.append((job, touched_shards(job.outputs[0], changed[name], job.halo)))
        self._bring("target", targets)
        halos = self._renew_weights(journal)
        if store.record(CUT):
            (tiles,) = plan_tiles(store, tiles_params(store))
            assert isinstance(tiles, TilesJob)
            anew = journal.everything or self._done.class_weights is not None
            self._bring("tiles", [(tiles, None if anew else touched_tiles(tiles, changed, halos))])

    def _renew_weights(self, journal: Journal) -> dict[str, tuple[int, ...]]:
        """The maps of all images, for the class weights may be others now. Returns how far each looks."""
        store, halos, todo = self._store, {}, []
        for name in store.names:
            made = store.record(weights_path(name))
            if not made:
                continue
            params = weights_params(store, name)
            if journal.class_weights:
                background, cell = journal.class_weights
                params = replace(params, class_weights="balanced" if journal.balanced else (background, cell))
            (job,) = plan_weights(store, params, [name])
            (spec,) = job.outputs
            now = spec.provenance.parameters["class_weights"]
            halos[name] = job.halo
            anew = journal.everything or made["parameters"]["class_weights"] != now
            todo.append((job, None if anew else touched_shards(spec, journal.changed.get(name, ()), halos[name])))
            if journal.class_weights and journal.class_weights != now:
                self._done.class_weights = (journal.class_weights, now)
        self._bring("weights", todo)
        return halos

    def _bring(self, kind: str, todo: Sequence[tuple[Job, set[Index] | None]]) -> None:
        """Make arrays what their jobs say; the stale shards are computed again, or all (None)."""
        store, jobs = self._store, []
        for job, stale in todo:
            made = [store.record(spec.path) for spec in job.outputs]
            others = [
                s for s, m in zip(job.outputs, made, strict=True) if m.get("fingerprint") != s.provenance.fingerprint
            ]
            if not others and all(m["complete"] for m in made):
                continue
            for spec in others:
                store.renew(spec, _keys(job, spec, stale))
            jobs.append(job)
        plans = plan_jobs(store, jobs)
        done = run_plans(store, plans, self._scheduler, self._on_progress)
        total = sum(plan.num_shards for plan in plans)
        self._done.shards[kind] = Shares(done.num_shards, total - done.num_shards)

    def _finish(self) -> None:
        """The names of the files, and the end of the journal."""
        store = self._store
        for name, part in self._parts.items():
            files = store.record(image_path(name)).get("source", [""])
            store.update_record(image_path(name), source=[*files[:-1], part.labels.path.rstrip("/").rpartition("/")[2]])
        store.drop_from_record(IMAGES, JOURNAL)


def _keys(job: Job, spec: ArraySpec, stale: set[Index] | None) -> list[str]:
    """The objects of some shards of an array, or of all, below its path."""
    indices: Iterable[Index] = product(*map(range, job.num_shards)) if stale is None else sorted(stale)
    return [shard_key((index + (0,) * len(spec.shape))[: len(spec.shape)]) for index in indices]


def _changed_in(store: Store, job: LabelsJob, index: Index) -> Box | None:
    (box,) = job.boxes(index)
    task = job.of([index]).watching()
    (after,) = task.compute(store, [box])
    task.refuse_changes(box)
    try:
        return changed_box(store.read(job.outputs[0].path, box), after, box)
    except FileNotFoundError:  # deleted by a run that was killed
        return box


def _num_pixels(box: Box) -> int:
    return prod(box_shape(box))
