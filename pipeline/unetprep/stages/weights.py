"""Stage `weights`: the target, the class balance over the whole data set, and the weight map."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, inside
from unetprep.format.layout import (
    ArraySpec,
    Provenance,
    counts_path,
    labels_path,
    pixel_array,
    weights_path,
)
from unetprep.kernels.separate import HALO_PX, separate_instances
from unetprep.kernels.two_nearest import LARGEST_LABEL
from unetprep.kernels.weight_formula import DEFAULTS, Formula
from unetprep.kernels.weights import (
    NUM_CLASSES,
    balanced_class_weights,
    count_classes,
    of_every_class,
    with_classes,
)
from unetprep.lengths import METERS
from unetprep.parameter import as_text
from unetprep.params import WeightsParams
from unetprep.stages.base import COMPILED_BYTES, Blocks, Job, Shape, Sizes
from unetprep.stages.classes import classes_path, num_classes
from unetprep.stages.stacks import array_of_stack
from unetprep.stages.weight_backends import ENGINE_BYTES, ENGINES
from unetprep.store import Store

TARGET_VERSION = 2
WEIGHTS_VERSIONS = {"numba": 2, "edt": 3}  # by engine: a mistake in one leaves the maps of the other valid
READING_THREADS = 16
RATIO_DIGITS = 12
IMPORT = "unetprep import --image IMAGES --labels LABELS --out STORE"


@dataclass(frozen=True)
class TargetJob(Job):
    """The class of every pixel, and how many pixels each class has in each shard."""

    instances: str
    dims: int
    separate: str
    classes: str | None = None
    num_classes: int = NUM_CLASSES

    @property
    def halo(self) -> Shape:
        """The reach of the separation of cells."""
        return (HALO_PX if self.dims == 3 else 0, HALO_PX, HALO_PX)

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """A block of the target and its counts."""
        box, _ = boxes
        outer = self.around(box)
        labels, core = store.read(self.instances, outer), inside(box, outer)
        target = separate_instances(labels, self.dims, self.separate)[core]
        if self.classes:
            target = with_classes(target, store.read(self.classes, box))
        return target, count_classes(target, labels[core], self.num_classes).reshape(1, 1, 1, -1)

    def resident_bytes(self) -> int:
        """Memory of the compiled kernels."""
        return COMPILED_BYTES

    def compute_bytes(self) -> int:
        """Memory for labels and target with the halo, and, when classes are counted, for the ignored labels."""
        core = prod(self.extent((0, 0, 0)))
        return (4 + 1) * prod(self.extent()) + core * (1 + (2 + 8) * bool(self.classes))


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
    classes: str | None = None

    @property
    def halo(self) -> Shape:
        """The distance up to which a cell matters."""
        reach = (max(HALO_PX, math.ceil(self.formula.reach / size)) for size in self.spacing)
        return (0,) * (3 - len(self.spacing)) + tuple(reach)

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """A block, from its labels and those around it, as far as a cell matters.

        The target is recomputed from them, which costs a tenth of reading it.
        """
        (box,) = boxes
        outer = self.around(box)
        labels, core = store.read(self.instances, outer), inside(box, outer)
        target = separate_instances(labels, len(self.spacing), self.separate)[core]
        if self.classes:
            target = with_classes(target, store.read(self.classes, box))
        return (ENGINES[self.engine](labels, target, self.class_weights, self.formula, self.spacing, core),)

    def resident_bytes(self) -> int:
        """Memory of the compiled kernels."""
        return COMPILED_BYTES

    def compute_bytes(self) -> int:
        """Memory for labels and target with the halo, and for the engine."""
        outer, core = self.extent(), self.extent((0, 0, 0))
        needs = ENGINE_BYTES[self.engine](outer, core, self.formula, self.spacing, self.largest_label, self.has_ignored)
        return (4 + 1) * prod(outer) + 2 * prod(core) * bool(self.classes) + needs


def plan_targets(store: Store, params: WeightsParams, groups: Sequence[str] | None = None) -> Sequence[Job]:
    """The target and the class counts of every image and stack, or of some, by path."""
    if not store.names:
        raise InvalidInput(f"{store.url} holds no images", hint=f"run: {IMPORT}")
    jobs, number = [], num_classes(store)
    for group in store.groups if groups is None else groups:
        path, dims = labels_path(group, "instances"), store.dims(group)
        _spacing(params, store, group, dims)  # refused here, before the target is replaced
        shape, sizes = store.finished_array(path, IMPORT).shape, store.sizes(group)
        classes = classes_path(store, group)
        if classes:
            store.finished_array(classes, IMPORT)
        inputs = {each: store.record(each)["fingerprint"] for each in (path, classes) if each}
        how = {"separate": params.separate, "dims": dims} | ({"num_classes": number} if classes else {})
        made = Provenance("weights", TARGET_VERSION, how, inputs)
        target = array_like(labels_path(group, "target"), shape, "uint8", dims, sizes, made)
        outputs = (target, _counts(group, target, sizes is not None, number))
        jobs.append(TargetJob(outputs, path, dims, params.separate, classes, number, sizes=sizes))
    return jobs


def array_like(
    path: str, shape: tuple[int, ...], dtype: str, dims: int, sizes: Sizes | None, made: Provenance
) -> ArraySpec:
    """Specification of an array with a value for each pixel of an image, or of a stack of images of these sizes."""
    return (
        pixel_array(path, shape, dtype, dims, made) if sizes is None else array_of_stack(path, sizes, (), dtype, made)
    )


def _counts(group: str, target: ArraySpec, in_stack: bool, number: int) -> ArraySpec:
    """The counts, one entry for each shard of the target; in a stack one for each image."""
    shards = tuple(-(-n // s) for n, s in zip(target.shape, target.shard, strict=True))
    num, rows = (target.shape[0], target.shard[0]) if in_stack else (shards[0], 1)
    dims = ("z" if in_stack else "shard_z", "shard_y", "shard_x", "class")
    shape, shard = (num, *shards[1:], number), (rows, 1, 1, number)
    return ArraySpec(counts_path(group), shape, "int64", dims, shard, shard, target.provenance)


def plan_weights(store: Store, params: WeightsParams, groups: Sequence[str] | None = None) -> Sequence[Job]:
    """The weight map of every image and stack, or of some, with the class weights that the whole data set gives."""
    class_weights = _class_weights(store, params)
    formula = params.made_formula()
    constants = {name: getattr(params, name) for name in DEFAULTS[params.formula]}
    jobs = []
    for group in store.groups if groups is None else groups:
        instances, target = labels_path(group, "instances"), labels_path(group, "target")
        dims, sizes = store.dims(group), store.sizes(group)
        spacing = _spacing(params, store, group, dims)
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
            {path: store.record(path)["fingerprint"] for path in (instances, target)},  # classes are in the target's
        )
        output = array_like(weights_path(group), store.shards(instances).shape, "float32", dims, sizes, made)
        record = store.record(instances)
        largest, ignored = record.get("largest_label", LARGEST_LABEL), record.get("parameters", {}).get("ignore_label")
        rest = (params.separate, spacing, class_weights, formula, params.engine, largest, ignored is not None)
        jobs.append(WeightsJob((output,), instances, *rest, classes_path(store, group), sizes=sizes))
    return jobs


def _spacing(params: WeightsParams, store: Store, group: str, dims: int) -> tuple[float, ...]:
    """The pixel size along each axis: the parameter, else that of the import in pixels along x, else 1.

    With `lengths` it is that of the import in this unit.
    """
    if params.lengths != "pixels":
        return _physical_sizes(params, store, group, dims)
    spacing = params.spacing or relative_sizes(store.record(group).get("spacing"), dims)
    if len(spacing) != dims:
        what = "a volume" if dims == 3 else "made of independent slices (dims 2)"
        raise InvalidInput(
            f"spacing is {as_text(params.spacing)}, but {group} is {what}",
            allowed=f"{dims} numbers, {','.join('zyx'[-dims:])}",
            hint="--dims of the import says whether a stack is one volume",
        )
    return spacing


def _physical_sizes(params: WeightsParams, store: Store, group: str, dims: int) -> tuple[float, ...]:
    """The pixel size of the import in the unit of lengths. Raises InvalidInput where it is unknown."""
    record = store.record(group)
    measured, unit = (record.get("spacing") or ())[-dims:], record.get("unit")
    if len(measured) < dims or None in measured or unit not in METERS:
        known = f"{as_text(tuple(measured))} without a unit" if measured and not unit else "not known"
        raise InvalidInput(
            f"lengths is {params.lengths}, but the pixel size of {group} in {store.url} is {known}",
            hint="import it with --spacing and --unit, or give --sigma in pixels",
        )
    factor = METERS[unit] / METERS[params.lengths]
    spacing = tuple(float(f"{size * factor:.{RATIO_DIGITS}g}") for size in measured)
    params.check_reach(spacing)
    return spacing


def relative_sizes(measured: Sequence[float | None] | None, dims: int) -> tuple[float, ...]:
    """Measured pixel sizes (z, y, x) of the last `dims` axes in units of that along x; 1 where they are unknown.

    So lengths such as sigma stay in pixels. Ratios are rounded to 12 digits: 0.3 / 0.1 is 3.
    """
    sizes = [float(size) for size in (measured or ())[-dims:] if size is not None]
    if len(sizes) < dims:
        return (1.0,) * dims
    return tuple(float(f"{size / sizes[-1]:.{RATIO_DIGITS}g}") for size in sizes)


def _class_weights(store: Store, params: WeightsParams) -> tuple[float, ...]:
    """The weight of each class, as given or balanced. Raises InvalidInput for another number of weights."""
    number = num_classes(store)
    try:
        return of_every_class(params.fixed_class_weights() or _balanced(store), number)
    except ValueError:
        raise InvalidInput(
            f"class-weights is {as_text(params.class_weights)}, and {store.url} has {number} classes",
            allowed="two numbers, background and cell" + f", or {number}, one for each class" * (number > NUM_CLASSES),
        ) from None


def _balanced(store: Store) -> tuple[float, ...]:
    """Class weights from the images that balance them. Raises InvalidInput where none of these has a cell."""
    total = count_pixels(store, balancing_images(store))
    if not total[1:].any():
        refuse_without_cells(store)
    return balanced_class_weights(total)


def count_pixels(store: Store, names: Sequence[str]) -> NDArray[np.int64]:
    """Pixels of each class in some images."""
    slices: dict[str, list[int]] = {}  # of stacks; none for images with arrays of their own, which count as a whole
    for place in map(store.place, names):
        slices.setdefault(place.group, []).extend([] if place.index is None else [place.index])

    def count(group: str) -> NDArray[np.int64]:
        counts, some = store.read_all(counts_path(group)), slices[group]
        return np.asarray((counts[some] if some else counts).reshape(-1, counts.shape[-1]).sum(axis=0))

    with ThreadPoolExecutor(READING_THREADS) as executor:
        counted = [np.zeros(num_classes(store), np.int64), *executor.map(count, slices)]
    return np.asarray(np.sum(counted, axis=0))


def balancing_images(store: Store) -> list[str]:
    """The images whose pixels balance the classes: those for training, or all if none is."""
    return [name for name in store.names if store.image_record(name).get("split") == "train"] or store.names


def refuse_without_cells(store: Store, way_out: str = "--class-weights 1,1 needs no cells") -> NoReturn:
    """Raise the InvalidInput for a store whose classes cannot be balanced."""
    raise InvalidInput(
        f"no training image of {store.url} has a cell, so its classes cannot be balanced",
        allowed="images without cells, as long as one for training has some",
        hint=f"check that these are the right labels; {way_out}",
    )


STEPS = (plan_targets, plan_weights)
