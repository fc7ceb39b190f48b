"""Incremental update of a finished store after its labels were edited; only affected shards are recomputed.

The result is, byte for byte, the store that the edited labels would have given from the start. A journal in the record
of the group `images` says what has changed, from before anything is written until all is done. So an update that was
killed is finished by repeating it, however far it got.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from unetprep.engine.memory import Worker, num_cores
from unetprep.engine.scheduler import Scheduler
from unetprep.engine.thread_tasks import OnProgress
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.format.layout import IMAGES, JOURNAL, labels_path, weights_path
from unetprep.params import FileParams
from unetprep.relabeling.comparison import changed_boxes, plan_edited_labels
from unetprep.relabeling.journal import Journal, box_as_text, box_from_text
from unetprep.relabeling.matching import parts_of
from unetprep.relabeling.preconditions import refuse_unfinished
from unetprep.relabeling.updating import Shares, Updater, invalidate
from unetprep.stages.base import Job
from unetprep.stages.from_provenance import weights_params
from unetprep.stages.import_jobs import LabelsJob
from unetprep.stages.splits import Part
from unetprep.stages.weights import balancing_images, count_pixels, plan_weights, refuse_without_cells
from unetprep.storage.lock import locked
from unetprep.storage.output import check_sources
from unetprep.store import Store


@dataclass(frozen=True)
class Relabelled:
    """Result of an update, after `seconds`: the `images` that were edited, and which `shards` were recomputed, by kind.

    `changed` are the pixels in the boxes around what changed, by image; `class_weights` those before and after, if they
    changed.
    """

    images: tuple[str, ...]
    changed: Mapping[str, int] = field(default_factory=dict)
    shards: Mapping[str, Shares] = field(default_factory=dict)
    class_weights: tuple[list[float], list[float]] | None = None
    seconds: float = 0.0


def relabel(
    url: str,
    labels: Sequence[str],
    scheduler: Scheduler,
    *,
    image: str | None = None,
    keep_class_weights: bool = False,
    files: FileParams | None = None,
    on_progress: OnProgress = lambda done, total, **shown: None,
) -> Relabelled:
    """Take edited labels for images of a finished store, and update everything that was made from them.

    A file belongs to the image of its name, or to `image`; if the store was made from a single image, to that.
    `keep_class_weights` keeps the numbers of the class weights where they come from the data. `files` says how label
    files are read.

    Raises InvalidInput for an unfinished store, labels of another size, or those that an import would refuse.
    """
    start = time.perf_counter()
    check_sources(url, labels)
    Store.open(url)
    with locked(Store(url).storage, url):
        store = Store.open(url)
        parts = [part for path in labels for part in parts_of(store, path, image, files)]
        names = [part.name for part in parts]
        if len(set(names)) < len(names):
            raise InvalidInput(f"{labels} hold labels for one image twice: {names}", allowed="one file for each image")
        done = _Relabelling(store, parts, scheduler, keep_class_weights, on_progress).run()
    return replace(done, seconds=time.perf_counter() - start)


class _Relabelling:
    """One update: find out what changed, write the journal, recompute, remove the journal."""

    def __init__(
        self, store: Store, parts: Sequence[Part], scheduler: Scheduler, keep: bool, on_progress: OnProgress
    ) -> None:
        self._store, self._scheduler, self._on_progress, self._keep = store, scheduler, on_progress, keep
        threads = scheduler.num_workers if scheduler.address == "local" else num_cores()
        self._reader = Worker(scheduler.memory_bytes, threads)  # this process, which compares
        self._parts = {part.name: part for part in parts}

    def run(self) -> Relabelled:
        """Do the update, or finish one that was stopped."""
        before = self._recorded_journal()
        if before is None:
            refuse_unfinished(self._store, self._parts)
        jobs = plan_edited_labels(self._store, list(self._parts.values()), self._reader)
        changed = changed_boxes(self._store, jobs, self._reader, self._on_progress)
        if before is None and not any(self._is_edited(name, job) for name, job in jobs.items()):
            return Relabelled(tuple(self._parts))
        fingerprints = {name: job.outputs[0].provenance.fingerprint for name, job in jobs.items()}
        journal = self._journal(before, fingerprints, changed)
        if journal.balanced:
            self._refuse_without_cells(jobs)
        self._write(journal)
        if not journal.voided:
            invalidate(self._store, {self._store.place(name).group for name in self._parts})
            journal = replace(journal, voided=True)
            self._write(journal)
        updater = Updater(self._store, self._scheduler, journal, self._on_progress)
        updater.run(jobs)
        self._finish()
        num_px = {name: sum(map(_num_pixels, boxes)) for name, boxes in journal.changed.items()}
        return Relabelled(tuple(self._parts), num_px, updater.shards, updater.class_weights)

    def _recorded_journal(self) -> Journal | None:
        """The journal of an update that was stopped. Raises Conflict if it concerns other images than this one."""
        found = self._store.record(IMAGES).get(JOURNAL)
        before = Journal.of_record(found) if found else None
        if before and not set(before.fingerprints) <= set(self._parts):
            raise Conflict(
                f"an update of the labels of {', '.join(before.fingerprints)} of {self._store.url} was stopped",
                hint="repeat that command first, or give these labels together with the others",
            )
        return before

    def _is_other(self, job: Job) -> bool:
        (spec,) = job.outputs
        return bool(self._store.record(spec.path).get("fingerprint") != spec.provenance.fingerprint)

    def _is_edited(self, name: str, job: LabelsJob) -> bool:
        """Whether the labels of an image differ from those that are stored."""
        place = self._store.place(name)
        if place.index is None:
            return self._is_other(job)
        digests = self._store.record(labels_path(place.group, "instances"))["digests"]
        return bool(digests[place.index] != job.outputs[0].provenance.inputs["pixels"])

    def _journal(self, before: Journal | None, fingerprints: dict[str, str], changed: dict[str, list[Box]]) -> Journal:
        if before is None:
            numbers, balanced = self._class_weights()
            return Journal(fingerprints, changed, numbers, balanced and not self._keep)
        boxes = {
            n: [box_from_text(t) for t in sorted({*map(box_as_text, (*before.changed.get(n, ()), *changed[n]))})]
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
        group = store.place(next(iter(self._parts))).group
        made = store.record(weights_path(group))
        if not made or weights_params(store, group).class_weights == "auto":
            return None, False
        if not count_pixels(store, balancing_images(store))[1]:  # nothing that could be balanced
            return made["parameters"]["class_weights"], False
        (job,) = plan_weights(store, replace(weights_params(store, group), class_weights="balanced"), [group])
        return made["parameters"]["class_weights"], not self._is_other(job)

    def _refuse_without_cells(self, jobs: Mapping[str, LabelsJob]) -> None:
        """Raise InvalidInput if the edited labels leave no cell in the images that balance the classes."""
        names = balancing_images(self._store)
        edited = [job.outputs[0].extra["largest_label"] for name, job in jobs.items() if name in names]
        if not any(edited) and not count_pixels(self._store, [name for name in names if name not in jobs])[1]:
            refuse_without_cells(self._store, "--keep-class-weights keeps those of the store")

    def _write(self, journal: Journal) -> None:
        self._store.update_record(IMAGES, **{JOURNAL: journal.as_record()})

    def _finish(self) -> None:
        """Record the names of the files, and remove the journal."""
        store = self._store
        for name, part in self._parts.items():
            files = store.image_record(name).get("source", [""])
            store.update_image(name, source=[*files[:-1], part.labels.path.rstrip("/").rpartition("/")[2]])
        store.drop_from_record(IMAGES, JOURNAL)


def _num_pixels(box: Box) -> int:
    return prod(box_shape(box))
