"""The decoding as slow, obvious formulas on a whole image: pixel by pixel, with dictionaries and sets."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.integer_smoothing import gaussian_weights
from unettrain.decoding.params import DecodingParams

Pixel = tuple[int, int]
Pixels = set[Pixel]

CROSS = [(-1, 0), (0, -1), (0, 1), (1, 0)]
RING = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def separate(probabilities: NDArray[np.float32], params: DecodingParams) -> NDArray[np.int32]:
    """Instances of an image (y, x), numbered in scan order."""
    shape = probabilities.shape
    mask = {p for p in np.ndindex(shape) if probabilities[p] >= params.threshold}
    mask = fill(mask, shape, params.fill_holes_px)
    if params.instances == "components":
        objects = components(mask, CROSS)
    else:
        objects = watershed(heights_of(probabilities, mask, params), params.min_depth)
    objects = [found for found in objects if len(found) >= params.min_area_px]
    return number(grow(objects, shape, params.grow_px), shape)


def fill(mask: Pixels, shape: tuple[int, ...], most_px: int) -> Pixels:
    background = set(np.ndindex(shape)) - mask
    for hole in components(background, RING):
        at_edge = any(y in (0, shape[0] - 1) or x in (0, shape[1] - 1) for y, x in hole)
        if len(hole) <= most_px and not at_edge:
            mask = mask | hole
    return mask


def components(pixels: Pixels, steps: Iterable[Pixel]) -> list[Pixels]:
    left, found = set(pixels), []
    while left:
        one = {left.pop()}
        edge = set(one)
        while edge:
            edge = {(y + dy, x + dx) for y, x in edge for dy, dx in steps} & left
            left -= edge
            one |= edge
        found.append(one)
    return found


def heights_of(probabilities: NDArray[np.float32], mask: Pixels, params: DecodingParams) -> dict[Pixel, int]:
    if params.seeds == "distance":
        outside = [p for p in np.ndindex(probabilities.shape) if p not in mask]
        rough = np.zeros(probabilities.shape, np.int64)
        for y, x in mask:
            square = min([255**2, *((y - i) ** 2 + (x - j) ** 2 for i, j in outside)])
            rough[y, x] = math.isqrt(square * 256**2)
    else:
        rough = np.array([[math.floor(float(p) * 65535 + 0.5) for p in row] for row in probabilities])
    weights = [int(w) for w in gaussian_weights(params.smoothing_px)]
    smooth = along(along(rough, weights).T, weights).T
    return {p: max(1, int(smooth[p])) for p in mask}


def along(values: NDArray[np.int64], weights: list[int]) -> NDArray[np.int64]:
    """Weighted means along columns, rounded; the outermost pixels are repeated."""
    radius, last = len(weights) // 2, len(values) - 1
    sums = [
        sum(w * values[min(max(y + k - radius, 0), last)] for k, w in enumerate(weights)) for y in range(len(values))
    ]
    return (np.array(sums) + 2**13) // 2**14


def neighbours(p: Pixel, heights: dict[Pixel, int]) -> list[Pixel]:
    """Neighbours in the mask; diagonal ones only if a pixel beside the step is in the mask."""
    y, x = p
    around = [(y + dy, x + dx) for dy, dx in RING if (y + dy, x + dx) in heights]
    return [(i, j) for i, j in around if i == y or j == x or (i, x) in heights or (y, j) in heights]


def watershed(heights: dict[Pixel, int], min_depth: float) -> list[Pixels]:
    def key(p: Pixel) -> tuple[int, Pixel]:
        return heights[p], p

    def peak(p: Pixel) -> Pixel:
        highest = max([p, *neighbours(p, heights)], key=key)
        return p if highest == p else peak(highest)

    peaks = {p: peak(p) for p in heights}
    passes: dict[tuple[Pixel, Pixel], int] = {}
    for p in heights:
        for q in neighbours(p, heights):
            if peaks[p] < peaks[q]:
                pair = (peaks[p], peaks[q])
                passes[pair] = max(passes.get(pair, 0), min(heights[p], heights[q]))
    objects = {p: {p} for p in set(peaks.values())}  # peaks of the object of each peak
    for a, b in sorted(passes, key=lambda pair: (-passes[pair], pair)):
        lower = min(max(heights[p] for p in objects[a]), max(heights[p] for p in objects[b]))
        depth = lower - passes[a, b]
        if objects[a] is not objects[b] and (depth < 1 or depth < min_depth * lower):
            both = objects[a] | objects[b]
            for p in both:
                objects[p] = both
    return [{p for p in heights if peaks[p] in some} for some in {id(o): o for o in objects.values()}.values()]


def grow(objects: list[Pixels], shape: tuple[int, ...], radius: int) -> list[Pixels]:
    owner = {p: k for k, found in enumerate(objects) for p in found}
    grown = [set(found) for found in objects]
    for y, x in np.ndindex(shape):
        near = [((y - i) ** 2 + (x - j) ** 2, (i, j)) for i, j in owner]
        if (y, x) not in owner and near and min(near)[0] <= radius**2:
            grown[owner[min(near)[1]]].add((y, x))
    return grown


def number(objects: list[Pixels], shape: tuple[int, ...]) -> NDArray[np.int32]:
    labels = np.zeros(shape, np.int32)
    for k, found in enumerate(sorted(objects, key=min), start=1):
        for p in found:
            labels[p] = k
    return labels
