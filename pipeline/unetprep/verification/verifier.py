"""Verifier: checks that every object is present and intact, and that recomputed shards are equal."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from math import prod
from typing import Any

import numpy as np

from unetprep.engine.memory import num_cores
from unetprep.engine.thread_tasks import TASKS_A_WORKER, OnProgress, Tasks
from unetprep.format.layout import (
    AXES,
    CUT,
    DENSE,
    FOLDING,
    GRIDS,
    IMAGES,
    JOURNAL,
    PLACED,
    TILES,
    counts_path,
    labels_path,
    pixels_path,
    weights_path,
)
from unetprep.format.places import TABLE
from unetprep.format.sharding import Shards, shard_key
from unetprep.kernels.weights import NUM_CLASSES
from unetprep.params import VerifyParams
from unetprep.stages.base import Job, Sizes
from unetprep.stages.classes import NUMBER
from unetprep.stages.from_provenance import (
    contradiction,
    dense_job,
    fields_job,
    positions_job,
    target_job,
    tiles_job,
    weights_job,
)
from unetprep.stages.stacks import digest_of_all
from unetprep.storage.base import Storage
from unetprep.storage.lock import holder, locked
from unetprep.storage.paths import StrPath
from unetprep.store import Store
from unetprep.store.store import REPLACED
from unetprep.verification.faults import Fault, to_do
from unetprep.verification.inventory import Inventory, kind_of, take_inventory
from unetprep.verification.recompute import differences
from unetprep.verification.shard_check import CheckedShard, check_shard, digest_of, little, node_of
from unetprep.verification.values import limits_of


@dataclass(frozen=True)
class Verified:
    """Result of a verification: `faults`, and `notes` on what is unusual and right.

    `num_documents` and `num_shards` were read; `recomputed` counts the shards that were also computed again, by kind of
    array.
    """

    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    num_documents: int = 0
    num_shards: int = 0
    recomputed: Mapping[str, int] = field(default_factory=dict)


def verify(
    store: StrPath,
    params: VerifyParams | None = None,
    workers: int | None = None,
    *,
    repair: bool = False,
    on_progress: OnProgress = lambda done, total: None,
) -> Verified:
    """Check every object of a store: that it exists, is intact, and is what its inputs make it.

    Nothing is changed, unless `repair`, which deletes damaged shards. `workers` is the number of threads. Raises
    InvalidInput if there is no store.

        for fault in unetprep.verify("ds.zarr").faults:
            print(fault.path, fault.message, fault.to_do)
    """
    url = os.fspath(store)
    opened = Store(url)
    num_workers = workers or num_cores()
    notes = _leftovers(opened.storage)
    with locked(opened.storage, url) if repair else nullcontext(), ThreadPoolExecutor(num_workers) as executor:
        verifier = Verifier(opened, Tasks(executor, num_workers * TASKS_A_WORKER, on_progress))
        verifier.check(params or VerifyParams())
        if repair:
            verifier.repair()
    verifier.notes[:0] = notes
    return verifier.result()


def _leftovers(storage: Storage) -> list[str]:
    held = holder(storage)
    notes = [f"{key}: left behind by a run that was killed; nothing reads it" for key in storage.orphaned_temporaries()]
    if held and held[1]:
        notes.append(f".lock: left behind by {held[0]}; the next run takes it over")
    elif held:
        notes.append(f".lock: {held[0]} works on the store, or was killed on another machine; what it writes changes")
    return notes


class Verifier:
    """Checks a store: first its objects, then the shards of each array, then a sample that is recomputed."""

    def __init__(self, store: Store, tasks: Tasks) -> None:
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self._num_documents = self._num_shards = 0
        self._recomputed: dict[str, int] = {}
        self._store, self._tasks = store, tasks
        self._objects = Inventory({})
        self._at_fault: set[str] = set()  # nodes with any fault; arrays made from them are not recomputed
        self._damaged: dict[str, Callable[[], CheckedShard]] = {}  # by object: how to read it again

    def check(self, params: VerifyParams) -> None:
        """Check objects, images, shards and states, and recompute a sample."""
        objects = self._objects = take_inventory(self._store.storage, self._fetch)
        root = objects.nodes.get("")
        if not (root.problem if root else IMAGES in objects.nodes):
            Store.open(self._store.url)  # which says what is there instead of a store
        self._num_documents = len(objects.nodes)
        if not objects.has_checksums:
            self.notes.append("not sealed: other software made the store, so a changed document may go unnoticed")
        if JOURNAL in self._record(IMAGES):
            names = ", ".join(self._record(IMAGES)[JOURNAL]["fingerprints"])
            self.notes.append(f"an update of the labels of {names} was stopped: first repeat that unetprep relabel")
        self._check_objects()
        self._check_images()
        self._check_shards()
        self._check_states()
        for number, kind in enumerate(("target", "weights", "fields", "tiles")):
            self._recompute(kind, params, number)
        self.faults.sort(key=lambda fault: (fault.path, fault.kind))

    def result(self) -> Verified:
        """Everything that was found."""
        notes = tuple(self.notes)
        return Verified(tuple(self.faults), notes, self._num_documents, self._num_shards, self._recomputed)

    def repair(self) -> None:
        """Delete damaged shards, and mark their arrays as incomplete, so that repeating the stage writes them again."""
        for key, look in self._damaged.items():
            array = node_of(key)
            if not self._record(array) or look().kind != "damaged":
                continue
            if self._record(array).get("complete"):
                self._store.set_complete(array, False)
            self._store.storage.delete(key)
            self.notes.append(f"{key}: deleted")

    def _fetch(self, keys: Iterable[str]) -> Iterator[bytes]:
        return self._tasks.run([partial(self._store.storage.get, key) for key in keys])

    def _fault(self, kind: str, node: str, path: str, message: str) -> None:
        self._at_fault.add(node)
        self.faults.append(Fault(kind, path, message, to_do(kind, node, self._store.url)))

    def _record(self, path: str) -> dict[str, Any]:
        return self._objects.nodes[path].record if path in self._objects.nodes else {}

    def _check_objects(self) -> None:
        objects = self._objects
        for key in objects.unknown:
            self._fault("unknown", key, key, "no object of a store has this name")
        for key, why in objects.missing.items():
            self._fault("missing", node_of(key), key, f"it is not there: {why}")
        for path, node in objects.nodes.items():
            if node.problem:
                self._fault("metadata", path, objects.key_of(path), node.problem)

    def _check_images(self) -> None:
        """Check that the arrays of an image have one size, and that its group agrees with their import."""
        for group in self._objects.groups:
            self._check_table(group)
            imported = pixels_path(group) if self._record(pixels_path(group)) else labels_path(group, "instances")
            known = self._record(imported).get("parameters", {})
            about = self._record(group)
            common = {"dims", "split", "intensity"} & set(known) & set(about)
            for key in sorted(common | ({"spacing", "unit"} & {*known, *about} if known and about else set())):
                if about.get(key) != known.get(key):
                    says = f"it says that {key} is {about.get(key)}, and {imported} that it is {known.get(key)}"
                    self._fault("metadata", group, self._objects.key_of(group), says)
            instances = self._shards(labels_path(group, "instances"))
            others = (labels_path(group, kind) for kind in ("classes", "target"))
            for path in (pixels_path(group), *others, weights_path(group)):
                shards = self._shards(path)
                if shards and instances and shards.shape[-3:] != instances.shape:
                    says = f"its shape is {shards.shape}, and that of the labels {instances.shape}"
                    self._fault("metadata", path, self._objects.key_of(path), says)

    def _check_table(self, group: str) -> None:
        """Check that a stack lists the images that were imported into its arrays."""
        if TABLE not in self._record(group):
            return
        table = self._record(group)[TABLE]
        for path in (pixels_path(group), labels_path(group, "instances")):
            record = self._record(path)
            digests, listed = record.get("digests"), list(zip(table["names"], table["sizes"], strict=True))
            if digests and (
                len(digests) != len(listed) or digest_of_all(listed, digests) != record.get("inputs", {}).get("pixels")
            ):
                says = f"its table of images is not that of the import of {path}"
                self._fault("metadata", group, self._objects.key_of(group), says)

    def _sizes(self, path: str) -> Sizes | None:
        """The sides of the images of the stack in which an array of pixels lies; None for other arrays."""
        kind, shards, table = kind_of(path), self._shards(path), self._record("/".join(path.split("/")[:2])).get(TABLE)
        if table is None or shards is None or kind is None or kind.dims[-3:] != AXES:
            return None
        if len(table["sizes"]) != shards.shape[-3] or shards.chunk[-3] != 1:
            return None
        return np.array(table["sizes"], np.int64)

    def _shards(self, path: str) -> Shards | None:
        node = self._objects.nodes.get(path)
        return node.shards if node else None

    def _check_shards(self) -> None:
        """Read and check every shard of every array with a valid document."""
        tasks: list[Callable[[], CheckedShard]] = []
        for path, indices in sorted(self._objects.shards.items()):
            shards = self._shards(path)
            if shards is None:
                self.notes.append(f"{path}: its {len(indices)} shards were not read: no valid document")
                continue
            sizes, record = self._sizes(path), self._record(path)
            keep, limits = digest_of(record) is not None, limits_of(path, self._num_classes(path))
            if keep and "digests" in record and sizes is None:
                self.notes.append(f"{path}: not compared with the import: no valid table of its images")
                keep = False
            for index in sorted(indices):
                if len(index) == len(shards.counts) and all(i < n for i, n in zip(index, shards.counts, strict=True)):
                    tasks.append(partial(check_shard, self._store.storage, path, shards, index, limits, keep, sizes))
                else:
                    self._fault("unknown", path, f"{path}/{shard_key(index)}", "the array has no such shard")
        self._num_shards = len(tasks)
        digests: dict[str, Any] = {}
        for look, seen in zip(tasks, self._tasks.run(tasks), strict=True):
            if seen.kind == "damaged":
                self._damaged[seen.key] = look
            others = self._other_images(node_of(seen.key), seen)
            for name in others:
                says = f"the pixels of {name} are not those that were imported"
                self._fault("digest", node_of(seen.key), seen.key, says)
            if others:
                continue
            if seen.problem:
                self._fault(seen.kind, node_of(seen.key), seen.key, seen.problem)
            elif seen.block is not None:
                digests.setdefault(node_of(seen.key), sha256()).update(little(seen.block))
        for path, digest in digests.items():
            record = self._record(path)
            if path not in self._at_fault and record["complete"] and digest.hexdigest() != digest_of(record):
                self._fault("digest", path, path, "its pixels are not those that were imported")

    def _num_classes(self, path: str) -> int:
        """The number of classes of an array of classes, as it or its group records it."""
        of_group = self._record(path.rpartition("/")[0]).get(NUMBER, NUM_CLASSES)
        return int(self._record(path).get("parameters", {}).get(NUMBER, of_group))

    def _other_images(self, path: str, seen: CheckedShard) -> list[str]:
        """The images in a shard of a stack whose digests are not those of the import."""
        if not seen.digests or not self._record(path)["complete"]:
            return []
        names = self._record("/".join(path.split("/")[:2]))[TABLE]["names"][seen.first :]
        expected = self._record(path)["digests"][seen.first :]
        return [n for n, found, then in zip(names, seen.digests, expected, strict=False) if found != then]

    def _check_states(self) -> None:
        for path in sorted(self._objects.nodes):
            record = self._record(path)
            if "complete" not in record or not self._is_sound(path):
                continue
            if record.get("fingerprint") == REPLACED:
                self._fault("stale", path, path, "it is no longer valid, and what replaces it was stopped")
            elif not record["complete"]:
                self._fault("unfinished", path, path, "what computed it was stopped")
            elif self._store.state(path) == "stale":
                self._fault("stale", path, path, "what it was made from has been replaced since")

    def _is_sound(self, path: str) -> bool:
        """Whether the documents of an array and of all its inputs are valid."""
        record = self._record(path)
        return bool(record) and all(self._is_sound(p) for p in record.get("inputs", {}) if "/" in p)

    def _recompute(self, kind: str, params: VerifyParams, number: int) -> None:
        """Recompute a sample of the shards of one kind of array, if their inputs have no fault."""
        jobs: list[Job] = []
        for output, needed, plan in self._origins(kind):
            if output not in self._objects.nodes or needed & self._at_fault:
                if output in self._objects.nodes:
                    self.notes.append(f"{output}: not recomputed because of other faults")
                continue
            job = plan()
            other = job and contradiction(self._store, job)
            if job is None:
                self.notes.append(f"{output}: not recomputed: another release or software made it")
            elif other:
                key = self._objects.key_of(other)
                self._fault("metadata", other, key, "it is intact, but belongs to other inputs or another place")
            else:
                jobs.append(job)
        chosen = sample([prod(job.num_shards) for job in jobs], params.all or params.samples, params.seed + number)
        tasks = [
            partial(differences, self._store, jobs[k], tuple(map(int, np.unravel_index(i, jobs[k].num_shards))))
            for k, i in chosen
        ]
        for found in self._tasks.run(tasks):
            for key, what in found.items():
                self._fault("differs", node_of(key), key, what)
        if jobs:
            self._recomputed[kind] = len(tasks)

    def _origins(self, kind: str) -> Iterator[tuple[str, set[str], Callable[[], Job | None]]]:
        """For the arrays of a kind: the path of one, the nodes that it depends on, and how to plan its job."""
        store, groups = self._store, self._objects.groups
        if kind == "fields":
            yield GRIDS, {GRIDS, FOLDING}, partial(fields_job, store)
            if DENSE in self._objects.nodes:
                yield DENSE, {GRIDS, DENSE}, partial(dense_job, store)
        if kind == "tiles":
            tiles = {path for path in self._objects.nodes if path.partition("/")[0] == TILES} | {PLACED}
            every = {path for g in groups for path in (*_labels_of(g), weights_path(g), pixels_path(g))}
            for path, plan in ((PLACED, positions_job), (CUT, tiles_job)):
                yield path, {IMAGES, *tiles, *every}, partial(plan, store)
        for group in groups:
            if kind == "target":
                yield labels_path(group, "target"), _labels_of(group), partial(target_job, store, group)
            if kind == "weights":
                needed = {*_labels_of(group), weights_path(group)}
                yield weights_path(group), needed, partial(weights_job, store, group)


def _labels_of(group: str) -> set[str]:
    kinds = (labels_path(group, kind) for kind in ("instances", "classes", "target"))
    return {group, *kinds, counts_path(group)}


def sample(sizes: Sequence[int], most: int | bool, seed: int) -> list[tuple[int, int]]:
    """A random sample of up to `most` items (True: all) of groups of these sizes: (group, number) of each."""
    total = sum(sizes)
    if most is True or most >= total:
        chosen = np.arange(total)
    else:
        chosen = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    ends = np.cumsum(sizes)
    groups = np.searchsorted(ends, chosen, side="right")
    return [(int(k), int(i - ends[k] + sizes[k])) for k, i in zip(groups, chosen, strict=True)]
