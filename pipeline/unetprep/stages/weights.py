"""Weights: the target to learn, the balance of its classes over the whole data set, and the weight map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetprep.grid import Index, grow, inside
from unetprep.kernels import separate
from unetprep.kernels.weights import NUM_CLASSES, balanced_class_weights, border_reach_px, weigh_block
from unetprep.layout import AXES, ArraySpec, Provenance, labels_path, pixel_array, weights_path
from unetprep.params import WeightsParams
from unetprep.stage import Blocks, Job, Stage
from unetprep.store import Store

TARGET_VERSION = 1
WEIGHTS_VERSION = 1
IMPORT = "unetprep import --image IMAGES --labels LABELS --out STORE"


@dataclass(frozen=True)
class TargetJob(Job):
    """The class of every pixel, and how many pixels each class has in each shard."""

    instances: str
    dims: int
    separate: bool

    def compute(self, store: Store, index: Index) -> Blocks:
        """One shard of the target and its counts."""
        box, _ = self.boxes(index)
        halo = (separate.HALO_PX if self.dims == 3 else 0, separate.HALO_PX, separate.HALO_PX)
        outer = grow(box, halo, self.outputs[0].shape)
        labels = store.read(self.instances, outer)
        target = separate.separate_instances(labels, self.dims) if self.separate else (labels != 0).astype(np.uint8)
        target = target[inside(box, outer)]
        return target, np.bincount(target.ravel(), minlength=NUM_CLASSES).reshape(1, 1, 1, NUM_CLASSES)


@dataclass(frozen=True)
class WeightsJob(Job):
    """The weight map of one image."""

    instances: str
    target: str
    dims: int
    class_weights: tuple[float, ...]
    w0: float
    sigma_px: float

    def compute(self, store: Store, index: Index) -> Blocks:
        """One shard, from labels that reach as far around it as a cell can matter."""
        (box,) = self.boxes(index)
        reach = math.ceil(border_reach_px(self.w0, self.sigma_px))
        outer = grow(box, (reach if self.dims == 3 else 0, reach, reach), self.outputs[0].shape)
        labels, target = store.read(self.instances, outer), store.read(self.target, outer)
        weights = weigh_block(labels, target, self.class_weights, self.w0, self.sigma_px, self.dims)
        return (weights[inside(box, outer)],)


def plan_targets(store: Store, params: WeightsParams) -> Sequence[Job]:
    """The target and the class counts of every image."""
    jobs = []
    for name in store.names:
        path, dims = labels_path(name, "instances"), store.dims(name)
        shape = store.finished_array(path, IMPORT).shape
        inputs = {path: store.record(path)["fingerprint"]}
        made = Provenance("weights", TARGET_VERSION, {"separate": params.separate, "dims": dims}, inputs)
        target = pixel_array(labels_path(name, "target"), shape, "uint8", dims, made)
        jobs.append(TargetJob((target, _counts(target)), path, dims, params.separate))
    return jobs


def _counts(target: ArraySpec) -> ArraySpec:
    shards = tuple(-(-n // s) for n, s in zip(target.shape, target.shard, strict=True))
    one = (1, 1, 1, NUM_CLASSES)
    dims = (*(f"shard_{a}" for a in AXES), "class")
    return ArraySpec(_counts_path(target.path), (*shards, NUM_CLASSES), "int64", dims, one, one, target.provenance)


def _counts_path(target: str) -> str:
    return target.rpartition("/")[0] + "/class_counts"


def plan_weights(store: Store, params: WeightsParams) -> Sequence[Job]:
    """The weight map of every image, with the class weights that the whole data set gives."""
    class_weights = params.fixed_class_weights() or _balanced(store)
    jobs = []
    for name in store.names:
        instances, target = labels_path(name, "instances"), labels_path(name, "target")
        dims = store.dims(name)
        made = Provenance(
            "weights",
            WEIGHTS_VERSION,
            {"w0": params.w0, "sigma_px": params.sigma_px, "class_weights": list(class_weights), "dims": dims},
            {path: store.record(path)["fingerprint"] for path in (instances, target)},
        )
        output = pixel_array(weights_path(name), store.array(instances).shape, "float32", dims, made)
        jobs.append(WeightsJob((output,), instances, target, dims, class_weights, params.w0, params.sigma_px))
    return jobs


def _balanced(store: Store) -> tuple[float, ...]:
    """Class weights from the training images; from all of them if none is for training."""
    train = [name for name in store.names if store.record(f"images/{name}").get("split") == "train"]
    paths = [_counts_path(labels_path(name, "target")) for name in train or store.names]
    counts = sum(np.asarray(store.array(path)[:]).reshape(-1, NUM_CLASSES).sum(axis=0) for path in paths)
    return balanced_class_weights(np.asarray(counts))


WEIGHTS = Stage("weights", WeightsParams, (plan_targets, plan_weights))
