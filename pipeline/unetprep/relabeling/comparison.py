"""Comparison of edited labels with those that are stored, shard by shard."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product

from unetprep.engine.memory import Worker
from unetprep.engine.thread_tasks import TASKS_A_WORKER, OnProgress, Tasks
from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, Index
from unetprep.format.layout import labels_path
from unetprep.format.places import ImagePlace
from unetprep.params import ImportParams
from unetprep.relabeling.affected import changed_box
from unetprep.relabeling.matching import import_params, takes_numbers_as_cells
from unetprep.stages.first_reading import first_readings_bytes
from unetprep.stages.import_jobs import LabelsJob
from unetprep.stages.importing import plan_labels
from unetprep.stages.splits import Part
from unetprep.store import Store


def plan_edited_labels(store: Store, parts: Sequence[Part], reader: Worker) -> dict[str, LabelsJob]:
    """Read and check the edited labels, and plan their arrays, by image. Raises InvalidInput as an import does."""
    by_file: dict[str, list[Part]] = {}
    for part in parts:
        by_file.setdefault(part.labels.path, []).append(part)
    jobs: dict[str, LabelsJob] = {}
    for of_file in by_file.values():
        params = import_params(store, of_file[0].name)
        reader.threads_for(first_readings_bytes(of_file, params))
        jobs |= {part.name: job for part, job in zip(of_file, _plan(store, of_file, params), strict=True)}
    return jobs


def _plan(store: Store, parts: Sequence[Part], params: ImportParams) -> list[LabelsJob]:
    """Plan the labels of a file. What an import would refuse is refused, unless the stored labels are of that kind."""
    try:
        return plan_labels(parts, params)
    except InvalidInput:
        if params.instances != "auto" or not takes_numbers_as_cells(store, parts[0].name):
            raise
    return plan_labels(parts, replace(params, instances="ids"))


def changed_boxes(
    store: Store, jobs: Mapping[str, LabelsJob], reader: Worker, on_progress: OnProgress
) -> dict[str, list[Box]]:
    """Boxes around the pixels that the edit changes, at most one for each shard, by image."""
    stored = {name: 4 * job.num_values(job.outputs[0]) for name, job in jobs.items()}
    num_workers = reader.threads_for(max(job.working_set() + stored[name] for name, job in jobs.items()))
    with ThreadPoolExecutor(num_workers) as executor:
        tasks = Tasks(executor, num_workers * TASKS_A_WORKER, on_progress)
        found = {}
        for name, job in jobs.items():
            place = store.place(name)
            compare = [partial(_changed_in, store, place, job, index) for index in product(*map(range, job.num_shards))]
            found[name] = [box for box in tasks.run(compare) if box]
    return found


def _changed_in(store: Store, place: ImagePlace, job: LabelsJob, index: Index) -> Box | None:
    (box,) = job.boxes(index)
    task = job.of([index]).watching()
    (after,) = task.compute(store, [box])
    task.refuse_changes(box)
    try:
        return changed_box(store.read(labels_path(place.group, "instances"), place.box(box)), after, box)
    except FileNotFoundError:  # deleted by a run that was killed
        return box
