"""The EM challenge's metrics by their definitions, slowly: pixel by pixel, with scipy's connected components."""

from collections import deque
from itertools import product
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

EIGHT = np.ones((3, 3), int)


def thin(mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Objects of a mask, grown until they meet: the flooding of two levels, as the challenge words it."""
    height, width = mask.shape
    labels, num = ndimage.label(mask)
    if not num:
        return np.ones(mask.shape, int)
    state: dict[tuple[int, int], Any] = {(y, x): int(labels[y, x]) or "unvisited" for y, x in np.ndindex(height, width)}
    queue: deque[tuple[int, int]] = deque()

    def beside(y: int, x: int) -> list[tuple[int, int]]:
        return [p for p in ((y, x - 1), (y - 1, x), (y, x + 1), (y + 1, x)) if p in state]

    def is_object(value: Any) -> bool:
        return isinstance(value, int) and value > 0

    for x, y in product(range(width), range(height)):
        if state[y, x] == "unvisited" and any(is_object(state[p]) for p in beside(y, x)):
            state[y, x] = "queued"
            queue.append((y, x))
    flag = False
    while queue:
        at = queue.popleft()
        for near in beside(*at):
            if is_object(state[near]):
                if state[at] == "queued" or (state[at] == 0 and flag):
                    state[at] = state[near]
                elif is_object(state[at]) and state[at] != state[near]:
                    state[at], flag = 0, False
            elif state[near] == 0:
                if state[at] == "queued":
                    state[at], flag = 0, True
            elif state[near] == "unvisited":
                state[near] = "queued"
                queue.append(near)
    return np.array([state[p] for p in np.ndindex(height, width)], int).reshape(mask.shape)


def is_simple(ring: NDArray[np.bool_]) -> bool:
    """Whether the centre of 3 x 3 pixels is simple, whatever it is."""
    cells, background = ring.copy(), ~ring
    cells[1, 1] = background[1, 1] = False
    parts, _ = ndimage.label(cells)
    beside = {parts[0, 1], parts[1, 0], parts[1, 2], parts[2, 1]} - {0}
    return len(beside) == 1 and ndimage.label(background, EIGHT)[1] == 1


def warp(
    source: NDArray[np.bool_], proposal: NDArray[np.floating], threshold: float
) -> tuple[NDArray[np.bool_], list[tuple[int, int]]]:
    """The padded source, warped, and the pixels (y, x) of it that still differ from proposal > threshold."""
    warped, padded = np.pad(source, 1), np.pad(proposal.astype(np.float64), 1)
    target = padded > threshold
    while True:
        mismatches = [(y, x) for x, y in product(*map(range, warped.T.shape)) if warped[y, x] != target[y, x]]
        mismatches.sort(key=lambda p: -np.float32(abs(padded[p] - threshold)))
        flipped = False
        for y, x in mismatches:
            if is_simple(warped[y - 1 : y + 2, x - 1 : x + 2]):
                warped[y, x] = not warped[y, x]
                flipped = True
        if not flipped:
            return warped, sorted(mismatches)


def mismatch(warped: NDArray[np.bool_], y: int, x: int) -> str:
    """The class of a pixel that differs."""
    ids, is_cell = _ring_ids(ndimage.label(warped)[0], y, x), bool(warped[y, x])
    if ids == {0}:
        return "OBJECT_DELETED" if is_cell else "OBJECT_ADDED"
    if len(ids) == 1:
        return "HOLE_ADDED" if is_cell else "HOLE_DELETED"
    if len(ids) > 2:
        return "SPLIT" if is_cell else "MERGE"
    if not is_cell:
        return "HOLE_ADDED"
    window = np.pad(warped, 20)[y : y + 41, x : x + 41].copy()
    window[20, 20] = False
    return "SPLIT" if len(_ring_ids(ndimage.label(window)[0], 20, 20)) > 2 else "HOLE_DELETED"


def _ring_ids(labels: NDArray[np.integer], y: int, x: int) -> set[int]:
    return {int(labels[y + i, x + j]) for i, j in product((-1, 0, 1), repeat=2) if (i, j) != (0, 0)}


def shares(cells: NDArray[np.integer], objects: NDArray[np.integer]) -> dict[tuple[int, int], float]:
    """The share p_ij of the pixels of cells that lie in cell i and object j, 0 for none."""
    inside = cells > 0
    pairs = list(zip(cells[inside].tolist(), objects[inside].tolist(), strict=True))
    return {pair: pairs.count(pair) / len(pairs) for pair in set(pairs)}


def rand_f(p: dict[tuple[int, int], float], num: int) -> float:
    """F score of squared overlaps of `num` pixels, of which those without an object are objects of their own."""
    a, b, z = _marginals(p)
    shared = sum(v**2 for (_, j), v in p.items() if j) + z / num
    return _f(shared / (sum(v**2 for v in b.values()) + z / num), shared / sum(v**2 for v in a.values()))


def information_f(p: dict[tuple[int, int], float], num: int) -> float:
    """F score of the mutual information, in which pixels without an object are objects of their own."""
    a, b, z = _marginals(p)
    h_a, h_b = -sum(v * log(v) for v in a.values()), -sum(v * log(v) for v in b.values()) + z * log(num)
    joint = -sum(v * log(v) for (_, j), v in p.items() if j) + z * log(num)
    information = h_a + h_b - joint
    return _f(information / h_a, information / h_b) if h_a > 0 and h_b > 0 else 0.0


def _marginals(p: dict[tuple[int, int], float]) -> tuple[dict[int, float], dict[int, float], float]:
    a: dict[int, float] = {}
    b: dict[int, float] = {}
    for (i, j), v in p.items():
        a[i] = a.get(i, 0) + v
        b[j] = b.get(j, 0) + v
    z = b.pop(0, 0.0)
    if len(a) == 1:
        a = dict.fromkeys(a, 1.0)  # exactly, as a sum of shares may miss it by a rounding
    if len(b) == 1 and not z:
        b = dict.fromkeys(b, 1.0)
    return a, b, z


def _f(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
