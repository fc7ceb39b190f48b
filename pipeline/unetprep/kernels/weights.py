"""Weight map w(x) of a block from its labels and target; the formulas are in `weight_formula`."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.column_sweeps import begin_band, next_tile
from unetprep.kernels.search import (
    UNWANTED,
    as_volumes,
    buffer_bytes,
    padded_width,
    padding,
    places_of,
    prepare_buffers,
    prepare_search,
)
from unetprep.kernels.separate import separate_instances
from unetprep.kernels.simd import LANES, item, pointer, put
from unetprep.kernels.tiles import BLOCK, SIDE, separate_rows
from unetprep.kernels.two_nearest import LARGEST_LABEL, Box, search_tile
from unetprep.kernels.weight_formula import (
    IGNORED,
    LARGEST_ANISOTROPY,
    LARGEST_WEIGHT,
    MOST_CLASSES,
    Formula,
    are_class_weights,
    check_constants,
    make_formula,
)

NUM_CLASSES = 2  # background and cell, where cells have no classes
BORDER_ON = ("background", "all")
OCTAVE = 32  # steps in the table of the exponential for a factor of 2
STEP, STEPS_A_UNIT = math.log(2) / OCTAVE, OCTAVE / math.log(2)


def balanced_class_weights(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """w_c from the number of pixels of each class in the whole data set: total / (classes * count).

    Their mean over the data set is 1. A class that does not occur gets weight 0.
    """
    total, present = int(counts.sum()), int(np.count_nonzero(counts))
    return tuple(float(total / (present * int(n))) if n else 0.0 for n in counts)


def of_every_class(class_weights: Sequence[float], num_classes: int) -> tuple[float, ...]:
    """A weight for each class; of two weights, background and cell, that of the cell for each class of cells.

    Raises ValueError for another number of weights.
    """
    if len(class_weights) not in (NUM_CLASSES, num_classes):
        raise ValueError(
            f"class_weights are {len(class_weights)} numbers, not {NUM_CLASSES}, background and cell"
            + f", or {num_classes}, one for each class" * (num_classes != NUM_CLASSES)
        )
    background, *cells = map(float, class_weights)
    return (background, *(cells * (num_classes - 1) if len(cells) == 1 else cells))


@njit(nogil=True, cache=True, error_model="numpy")
def _gaussian(squared, count, gaussian, powers, exponents, values):  # type: ignore[no-untyped-def]
    """A Gaussian (height, sigma, reach) of squared distances.

    exp(e) = 2^(k / 32) exp(r) with |r| <= ln(2) / 64, by a table and a short Taylor series, to 1e-12. It is plain
    arithmetic, which is vectorized and whose bits do not depend on the position of a pixel.
    """
    height, sigma, reach = gaussian
    scale = -1.0 / (2.0 * sigma * sigma)
    for i in range(count):
        d = item(squared, i)
        inside = d < reach * reach
        e = scale * d if inside else 0.0
        k = np.int32(e * STEPS_A_UNIT - 0.5)
        r = e - k * STEP
        series = 1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24))))
        put(values, i, height * series if inside else 0.0)
        put(exponents, i, -k)
    for i in range(count):
        put(values, i, item(values, i) * item(powers, item(exponents, i)))


@njit(nogil=True, cache=True, error_model="numpy")
def _squared_sum(d1, d2, count, unit, squared):  # type: ignore[no-untyped-def]
    """Compute (d1 + d2)^2 from the squares of d1 and d2."""
    for i in range(count):
        a, b = float(item(d1, i)), float(item(d2, i))
        put(squared, i, (a + b + 2.0 * math.sqrt(a * b)) * unit)


@njit(nogil=True, cache=True)
def _mark_row(labels, label_at, target, target_at, width, on_cells, ignored, kinds, at):  # type: ignore[no-untyped-def]
    """The kinds of the pixels of a row: class (`ignored`: of ignored pixels), and whether the border term applies."""
    for x in range(width):
        is_ignored, its_class = item(labels, label_at + x) < 0, item(target, target_at + x)
        put(kinds, at + x, 2 * ignored if is_ignored else 2 * its_class + (on_cells or its_class == 0))


@njit(nogil=True, cache=True)
def _by_class(kinds, first, count, by_class, weights):  # type: ignore[no-untyped-def]
    """The weights of pixels by their class, the last of which is that of ignored pixels."""
    background, cell, ignored = by_class[0], by_class[1], len(by_class) - 1
    if ignored == 2:
        for i in range(count):
            c = item(kinds, first + i) >> 1
            put(weights, first + i, background if c == 0 else cell if c == 1 else 0.0)
    else:
        for i in range(count):
            put(weights, first + i, by_class[min(np.int64(item(kinds, first + i) >> 1), ignored)])


@njit(nogil=True, cache=True)
def _add_blocks(values, at, count, weights):  # type: ignore[no-untyped-def]
    """Add the values of blocks of pixels to a tile."""
    for block in range(count):
        first = item(at, block) * SIDE
        for i in range(BLOCK):
            put(weights, first + i, item(weights, first + i) + item(values, block * BLOCK + i))


@njit(nogil=True, cache=True, error_model="numpy")
def _weigh_tile(count, first, stop, by_class, border, boundary, search, places, powers, space):  # type: ignore[no-untyped-def]
    """The weights of a tile from the blocks found in it, row by row, as float32 in the last line of `space`."""
    weights, squared, values = pointer(space[0]), pointer(space[1]), pointer(space[2])
    exponents, rounded = pointer(space[3].view(np.int32)), pointer(space[4].view(np.float32))
    rounded_bits, row_bits = pointer(space[4].view(np.uint32)), pointer(space[5].view(np.uint32))
    _by_class(places.tile_kinds, first * SIDE, (stop - first) * SIDE, by_class, weights)
    if boundary[2] > 0:
        for i in range(count * BLOCK):
            put(squared, i, item(places.d1, i) * search.unit)
        _gaussian(squared, count * BLOCK, boundary, powers, exponents, values)
        _add_blocks(values, places.at, count, weights)
    _squared_sum(places.d1, places.d2, count * BLOCK, search.unit, squared)
    _gaussian(squared, count * BLOCK, border, powers, exponents, values)
    _add_blocks(values, places.at, count, weights)
    for i in range(first * SIDE, stop * SIDE):
        put(rounded, i, np.float32(item(weights, i)))
    for x in range(first, stop, LANES):
        separate_rows(rounded_bits, x * SIDE, row_bits, x, places.width)


@njit(nogil=True, cache=True, error_model="numpy")
def _weigh(volumes, target, core, by_class, border, boundary, on_cells, search, buffers, left, powers, space, out):  # type: ignore[no-untyped-def]
    """Weigh the cores of volumes tile by tile; `target` and `out` are (volume, z, y, x) of the cores."""
    places, table, row = places_of(buffers, left), pointer(powers), pointer(space[5].view(np.float32))
    (z0, z1), (y0, y1), (x0, x1) = core
    _, depth, height, length = volumes.shape
    width, step, margin = x1 - x0, places.slots - 1, len(search.planes) - 1
    first = (left + x0) // LANES * LANES  # of the columns that are weighed
    stop = first + -(-(left + x1 - first) // LANES) * LANES
    for v in range(len(volumes)):
        volume = volumes[v]
        for top in range(y0, y1, step):
            bottom = min(y1, top + step)
            for ahead in range(z0 - margin, z1 + margin):
                z = ahead - margin
                if 0 <= ahead < depth:
                    begin_band(volume, ahead, top, bottom, top == y0, search, places)
                for y in range(top, bottom, SIDE):
                    rows = min(SIDE, bottom - y)
                    next_tile(volume, ahead, y, rows, top, search, places)
                    if z < z0:
                        continue
                    at = ((v * (z1 - z0) + z - z0) * (y1 - y0) + y - y0) * width
                    for r in range(SIDE):
                        kinds_at = r * places.width + left + x0
                        if r < rows:
                            labels_at = (z * height + y + r) * length + x0
                            _mark_row(
                                pointer(volume),
                                labels_at,
                                pointer(target),
                                at + r * width,
                                width,
                                on_cells,
                                len(by_class) - 1,
                                places.kinds,
                                kinds_at,
                            )
                        else:
                            for x in range(width):
                                put(places.kinds, kinds_at + x, UNWANTED)
                    count = search_tile((y - top) // SIDE, z, x0, x1, search, places)
                    _weigh_tile(count, first, stop, by_class, border, boundary, search, places, table, space)
                    for r in range(rows):
                        for x in range(width):
                            put(pointer(out), at + r * width + x, item(row, r * places.width + left + x0 + x))


@lru_cache(16)
def _powers(largest_exponent: float) -> NDArray[np.float64]:
    """The table of the exponential."""
    powers: NDArray[np.float64] = 2.0 ** (-np.arange(largest_exponent + 2) / OCTAVE)
    return powers


def weigh_block(
    labels: NDArray[np.int32],
    target: NDArray[np.uint8],
    class_weights: tuple[float, ...],
    formula: Formula,
    spacing: tuple[float, ...],
    core: Box | None = None,
) -> NDArray[np.float32]:
    """Weights of the `core` of a block, float32, from the labels (z, y, x) of the block and the target of the core.

    `class_weights` has a number for each class of the target. Exact if the block contains all pixels of instances
    within `formula.reach` of the core. `spacing` is the pixel size: (z, y, x), or (y, x) for independent slices.
    Ignored pixels get weight 0.
    """
    border, boundary = formula.border, formula.boundary
    search = prepare_search(spacing, formula.reach, int(labels.max(initial=0)), border.reach, boundary.reach)
    planes, *core_rows = [(s.start, s.stop) for s in core] if core else [(0, n) for n in labels.shape]
    volumes = as_volumes(np.ascontiguousarray(labels), search)
    if volumes.shape[1] == 1:
        volumes, planes = volumes[slice(*planes)], (0, 1)
    out, buffers = np.empty(target.shape, np.float32), prepare_buffers(volumes.shape[1:], search)
    _weigh(
        volumes,
        np.ascontiguousarray(target),
        (planes, *core_rows),
        np.array([*class_weights, 0.0]),
        (border.height, border.sigma, border.reach),
        (boundary.height, boundary.sigma, boundary.reach),
        formula.on_cells,
        search,
        buffers,
        padding(search),
        _powers(max((g.reach / g.sigma) ** 2 / 2 * STEPS_A_UNIT for g in (border, boundary))),
        np.empty((6, SIDE * padded_width(labels.shape[2], search))),
        out,
    )
    return out


def weigh_block_bytes(
    shape: tuple[int, ...],
    core: tuple[int, ...],
    formula: Formula,
    spacing: tuple[float, ...],
    largest_label: int,
    has_ignored: bool,
) -> int:
    """Memory that `weigh_block` takes for labels and a core of these shapes, in addition to labels and target."""
    border, boundary = formula.border, formula.boundary
    search = prepare_search(spacing, formula.reach, largest_label, border.reach, boundary.reach)
    weights_and_target = (4 + 1) * math.prod(core)
    space_bytes = 6 * 8 * SIDE * padded_width(shape[2], search)
    volume = shape if len(search.planes) > 1 else (1, *shape[1:])
    return weights_and_target + space_bytes + buffer_bytes(volume, search)


def with_ignored(
    target: NDArray[np.uint8], labels: NDArray[np.int32], num_classes: int = NUM_CLASSES
) -> NDArray[np.uint8]:
    """The classes of the target, and one more class for ignored pixels."""
    return target if labels.min(initial=0) >= 0 else np.where(labels < 0, np.uint8(num_classes), target)


def count_classes(
    target: NDArray[np.uint8], labels: NDArray[np.int32], num_classes: int = NUM_CLASSES
) -> NDArray[np.int64]:
    """Number of pixels of each class, without ignored pixels, which are background in the target."""
    ignored = np.count_nonzero(labels < 0)
    if num_classes == NUM_CLASSES:
        cells = np.count_nonzero(target)
        return np.array([target.size - cells - ignored, cells])
    counts = np.bincount(target.ravel(), minlength=num_classes)
    counts[0] -= ignored
    return counts


def with_classes(target: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A target of background and cells, 0 and 1, with the class of each cell instead of 1."""
    return target * classes


def weight_map(
    labels: NDArray[np.integer],
    w0: float | None = None,
    sigma: float | None = None,
    spacing: tuple[float, ...] | None = None,
    formula: str = "paper",
    class_weights: Sequence[float] | None = None,
    separate: str = "raster",
    *,
    classes: NDArray[np.integer] | None = None,
    background_weight: float | None = None,
    rim_sigma: float | None = None,
    border_on: str = "background",
    ignore_label: int | None = None,
) -> NDArray[np.float32]:
    """The weight map of one labelled image; float32 of the same shape.

    `labels` is (y, x) or, for a volume, (z, y, x), of any integer dtype: 0 = background, one number per cell. `spacing`
    is the pixel size, one number for each axis, by default 1; lengths are in its unit. `formula` is "paper"
    (Ronneberger et al. 2015, Eq. 2; w0 10, sigma 5) or "falk2019" (Falk et al. 2019; w0 50, sigma 6,
    `background_weight` 0.1, `rim_sigma` 10). `class_weights`, of background and cell, are the paper's w_c; by default
    they balance the classes over this image. `classes`, of the shape of `labels`, gives the class of the pixels of
    cells, 1 to 254; then `class_weights` may have a number for each class. `separate` is the rule for background
    between touching cells in the target: "raster", "symmetric" or "none", see `separate_instances`; distances are those
    to the cells of `labels`. With `border_on` "all" the border term applies to cells too. Pixels of `ignore_label` get
    weight 0 and are no cell. With fewer than two cells the border term is 0 everywhere.

    Raises ValueError for labels of another number of axes, not of integer dtype, or negative, for classes of another
    shape or out of range, for other values of `formula`, `separate` and `border_on`, and for constants that are out of
    bounds or that the formula does not have.
    """
    if labels.ndim not in (2, 3) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers of 2 or 3 axes, not {labels.dtype} of shape {labels.shape}")
    if len(spacing or labels.shape) != labels.ndim:
        raise ValueError(f"spacing is {spacing}, but labels of shape {labels.shape} need {labels.ndim} numbers")
    if spacing and not all(0 < size <= LARGEST_ANISOTROPY * min(spacing) for size in spacing):
        raise ValueError(f"spacing is {spacing}, not numbers over 0 of which one is at most 1000 times another")
    if border_on not in BORDER_ON:
        raise ValueError(f"border_on is {border_on!r}, not one of {', '.join(BORDER_ON)}")
    constants = {"w0": w0, "sigma": sigma, "background_weight": background_weight, "rim_sigma": rim_sigma}
    check_constants(constants)
    chosen = make_formula(formula, constants, border_on == "all")
    if class_weights is not None and chosen.class_weights is not None:
        raise ValueError(f"class_weights are given, but the formula {formula!r} has its own")
    if class_weights is not None and not are_class_weights(class_weights):
        raise ValueError(
            f"class_weights are {class_weights}, not each 0 or {1 / LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}"
        )
    if ignore_label is not None and not isinstance(ignore_label, int | np.integer):
        raise ValueError(f"ignore_label is {ignore_label!r}, not an integer")
    block = _as_block(labels, ignore_label)
    target, num_classes = separate_instances(block, labels.ndim, separate), NUM_CLASSES
    if classes is not None:
        target = with_classes(target, _classes_of_cells(classes, labels, block))
        num_classes = max(NUM_CLASSES, len(class_weights or ()), int(target.max(initial=0)) + 1)
    w_c = chosen.class_weights or class_weights or balanced_class_weights(count_classes(target, block, num_classes))
    w_c = of_every_class(w_c, num_classes)
    weights = weigh_block(block, target, w_c, chosen, spacing or (1.0,) * labels.ndim)
    return weights.reshape(labels.shape)


def _classes_of_cells(
    classes: NDArray[np.integer], labels: NDArray[np.integer], block: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """The class of each pixel of a block, checked where there are cells."""
    if classes.shape != labels.shape or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(
            f"classes are {classes.dtype} of shape {classes.shape}, not integers of the shape {labels.shape} of labels"
        )
    of_cells = classes.reshape(block.shape)[block > 0]
    if of_cells.size and not 1 <= of_cells.min() <= of_cells.max() < MOST_CLASSES:
        raise ValueError(
            f"classes of cells are {of_cells.min()} to {of_cells.max()}, not between 1 and {MOST_CLASSES - 1}"
        )
    return np.where(block > 0, classes.reshape(block.shape), 0).astype(np.uint8)


def _as_block(labels: NDArray[np.integer], ignore_label: int | None) -> NDArray[np.int32]:
    """Labels as input of the kernels: int32 (z, y, x), with IGNORED for ignored pixels."""
    ignored = labels == ignore_label if ignore_label is not None else np.zeros((), bool)
    cells = np.where(ignored, 0, labels) if ignored.any() else labels
    if cells.size and cells.min() < 0:
        raise ValueError(f"labels must not be negative, and one is {cells.min()}; ignore_label may name one that is")
    if cells.size and cells.max() > LARGEST_LABEL:
        cells = np.unique(cells, return_inverse=True)[1].reshape(cells.shape) + (cells.min() > 0)
    block = np.ascontiguousarray(cells, np.int32).reshape((-1, *labels.shape[-2:]))
    return np.where(ignored, np.int32(IGNORED), block) if ignored.any() else block
