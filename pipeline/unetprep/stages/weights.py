"""Weights: the target to learn, the balance of its classes over the whole data set, and the weight map."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

import numpy as np

from unetprep.engines import COMPILED_BYTES, ENGINE_BYTES, ENGINES
from unetprep.errors import InvalidInput
from unetprep.grid import Box, grow, inside
from unetprep.kernels.formula import DEFAULTS, Formula
from unetprep.kernels.nearest import LARGEST_LABEL
from unetprep.kernels.separate import HALO_PX, separate_instances
from unetprep.kernels.weights import NUM_CLASSES, balanced_class_weights, count_classes
from unetprep.layout import AXES, ArraySpec, Provenance, counts_path, labels_path, pixel_array, weights_path
from unetprep.params import WeightsParams
from unetprep.stage import Blocks, Job, Shape, Stage
from unetprep.store import Store

TARGET_VERSION = 2
WEIGHTS_VERSIONS = {"numba": 2, "edt": 3}  # by engine: a mistake in one leaves the maps of the other valid
READING_THREADS = 16
IMPORT = "unetprep import --image IMAGES --labels LABELS --out STORE"


@dataclass(frozen=True)
class TargetJob(Job):
    """The class of every pixel, and how many pixels each class has in each shard."""

    instances: str
    dims: int
    separate: str

    @property
    def halo(self) -> Shape:
        """As far as separation looks."""
        return (HALO_PX if self.dims == 3 else 0, HALO_PX, HALO_PX)

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """A block of the target and its counts."""
        box, _ = boxes
        outer = grow(box, self.halo, self.outputs[0].shape)
        labels, core = store.read(self.instances, outer), inside(box, outer)
        target = separate_instances(labels, self.dims, self.separate)[core]
        return target, count_classes(target, labels[core]).reshape(1, 1, 1, NUM_CLASSES)

    def resident_bytes(self) -> int:
        """The compiled kernels."""
        return COMPILED_BYTES

    def compute_bytes(self) -> int:
        """The labels and the target with the halo; and when classes are counted, which labels are ignored."""
        return (4 + 1) * prod(self.extent()) + prod(self.extent((0, 0, 0)))


@dataclass(frozen=True)
class WeightsJob(Job):
    """The weight map of one image."""

    instances: str
    separate: str
    spacing: tuple[float, ...]  # (z, y, x), or (y, x) where the slices are independent
    class_weights: tuple[float, ...]
    formula: Formula
    engine: str
    largest_label: int
    has_ignored: bool

    @property
    def halo(self) -> Shape:
        """As far as a cell can matter."""
        reach = (max(HALO_PX, math.ceil(self.formula.reach / size)) for size in self.spacing)
        return (0,) * (3 - len(self.spacing)) + tuple(reach)

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """A block, from labels that reach as far around it as a cell can matter.

        The target follows from them: taking it anew costs a tenth of what reading it would.
        """
        (box,) = boxes
        outer = grow(box, self.halo, self.outputs[0].shape)
        labels, core = store.read(self.instances, outer), inside(box, outer)
        target = separate_instances(labels, len(self.spacing), self.separate)[core]
        return (ENGINES[self.engine](labels, target, self.class_weights, self.formula, self.spacing, core),)

    def resident_bytes(self) -> int:
        """The compiled kernels."""
        return COMPILED_BYTES

    def compute_bytes(self) -> int:
        """Labels and target with the halo, and what the engine needs."""
        outer, core = self.extent(), self.extent((0, 0, 0))
        needs = ENGINE_BYTES[self.engine](outer, core, self.formula, self.spacing, self.largest_label, self.has_ignored)
        return (4 + 1) * prod(outer) + needs


def plan_targets(store: Store, params: WeightsParams, names: Sequence[str] | None = None) -> Sequence[Job]:
    """The target and the class counts of every image, or of some."""
    if not store.names:
        raise InvalidInput(f"{store.url} holds no images", hint=f"run: {IMPORT}")
    jobs = []
    for name in store.names if names is None else names:
        path, dims = labels_path(name, "instances"), store.dims(name)
        shape = store.finished_array(path, IMPORT).shape
        inputs = {path: store.record(path)["fingerprint"]}
        made = Provenance("weights", TARGET_VERSION, {"separate": params.separate, "dims": dims}, inputs)
        target = pixel_array(labels_path(name, "target"), shape, "uint8", dims, made)
        jobs.append(TargetJob((target, _counts(name, target)), path, dims, params.separate))
    return jobs


def _counts(name: str, target: ArraySpec) -> ArraySpec:
    shards = tuple(-(-n // s) for n, s in zip(target.shape, target.shard, strict=True))
    one = (1, 1, 1, NUM_CLASSES)
    dims = (*(f"shard_{a}" for a in AXES), "class")
    return ArraySpec(counts_path(name), (*shards, NUM_CLASSES), "int64", dims, one, one, target.provenance)


def plan_weights(store: Store, params: WeightsParams, names: Sequence[str] | None = None) -> Sequence[Job]:
    """The weight map of every image, or of some, with the class weights that the whole data set gives."""
    class_weights = params.fixed_class_weights() or _balanced(store)
    formula = params.made_formula()
    constants = {name: getattr(params, name) for name in DEFAULTS[params.formula]}
    jobs = []
    for name in store.names if names is None else names:
        instances, target = labels_path(name, "instances"), labels_path(name, "target")
        dims = store.dims(name)
        spacing = _spacing(params, name, dims)
        made = Provenance(
            "weights",
            WEIGHTS_VERSIONS[params.engine],
            {
                "formula": params.formula,
                **constants,
                "spacing": list(spacing),
                "class_weights": list(class_weights),
                "border_on": params.border_on,
                "engine": params.engine,
                "dims": dims,
            },
            {path: store.record(path)["fingerprint"] for path in (instances, target)},
        )
        output = pixel_array(weights_path(name), store.shards(instances).shape, "float32", dims, made)
        record = store.record(instances)
        largest, ignored = record.get("largest_label", LARGEST_LABEL), record["parameters"].get("ignore_label")
        rest = (params.separate, spacing, class_weights, formula, params.engine, largest, ignored is not None)
        jobs.append(WeightsJob((output,), instances, *rest))
    return jobs


def _spacing(params: WeightsParams, name: str, dims: int) -> tuple[float, ...]:
    spacing = params.spacings() or (1.0,) * dims
    if len(spacing) != dims:
        what = "a volume" if dims == 3 else "made of independent slices (dims 2)"
        raise InvalidInput(
            f"spacing is {params.spacing!r}, but image {name!r} is {what}",
            allowed=f"{dims} numbers, {','.join('zyx'[-dims:])}",
            hint="whether a stack is one volume is said at import, with --dims",
        )
    return spacing


def _balanced(store: Store) -> tuple[float, ...]:
    """Class weights from the training images; from all of them if none is for training."""
    train = [name for name in store.names if store.record(f"images/{name}").get("split") == "train"]
    paths = [counts_path(name) for name in train or store.names]
    with ThreadPoolExecutor(READING_THREADS) as executor:
        counts = executor.map(lambda path: store.read_all(path).reshape(-1, NUM_CLASSES).sum(axis=0), paths)
        return balanced_class_weights(np.sum(list(counts), axis=0))


WEIGHTS = Stage("weights", WeightsParams, (plan_targets, plan_weights))
