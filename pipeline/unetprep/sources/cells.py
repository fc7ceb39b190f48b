"""Synthetic cells on images of any size, generated window by window from a seed."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cells:
    """Balls on a jittered grid, cut where two overlap, so that many touch. `share` is what they would cover uncut."""

    shape: tuple[int, ...]
    number: int
    share: float
    flat: float = 1.0  # voxel size along the first axis relative to the others
    seed: int = 0

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """Voxel size along each axis."""
        return np.array([self.flat] + [1.0] * (len(self.shape) - 1)) if len(self.shape) == 3 else np.ones(2)

    @cached_property
    def radius(self) -> float:
        """Radius of every cell."""
        ball = {2: math.pi, 3: 4 * math.pi / 3}[len(self.shape)]
        space = float(np.prod(self.shape) * np.prod(self.sizes))
        return float((self.share * space / self.number / ball) ** (1 / len(self.shape)))

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """Centres of the cells, (cell, axis), in pixels."""
        rng = np.random.default_rng(self.seed)
        lengths = np.array(self.shape) * self.sizes
        step = float((lengths.prod() / self.number) ** (1 / len(lengths)))
        counts = np.ceil(lengths / step).astype(int)
        places = rng.permutation(int(counts.prod()))[: self.number]
        corner = np.stack(np.unravel_index(places, tuple(counts)), axis=1)
        return np.asarray((corner + rng.uniform(0.2, 0.8, corner.shape)) * (np.array(self.shape) / counts))

    def window(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[np.int32]:
        """The labels from start to stop: 0, or 1 + the number of the nearest cell that covers the pixel."""
        reach = self.radius / self.sizes
        inside = ((self.centres > np.array(start) - reach) & (self.centres < np.array(stop) + reach)).all(axis=1)
        labels = np.zeros([b - a for a, b in zip(start, stop, strict=True)], np.int32)
        nearest = np.full(labels.shape, self.radius**2, np.float32)
        for number in np.flatnonzero(inside):
            self._draw(int(number), start, labels, nearest)
        return labels

    def _draw(
        self, number: int, start: tuple[int, ...], labels: NDArray[np.int32], nearest: NDArray[np.float32]
    ) -> None:
        box, squared = [], np.zeros(())
        for axis, (centre, size) in enumerate(zip(self.centres[number] - start, self.sizes, strict=True)):
            reach = self.radius / size
            low, high = max(0, math.floor(centre - reach)), min(labels.shape[axis], math.ceil(centre + reach) + 1)
            box.append(slice(low, high))
            squared = np.add.outer(squared, ((np.arange(low, high) - centre) * size) ** 2)
        part = tuple(box)
        nearer = squared < nearest[part]
        labels[part][nearer], nearest[part][nearer] = number + 1, squared[nearer]


def brightness(labels: NDArray[np.int32], seed: list[int]) -> NDArray[np.uint8]:
    """An image of cells of different brightness on a dark background, with Gaussian noise."""
    rng = np.random.default_rng(seed)
    each = 110 + (labels.astype(np.uint32) * np.uint32(2654435761) >> np.uint32(26))  # 0 to 63, from the number alone
    clean = np.where(labels > 0, each, 30).astype(np.float32)
    noisy = clean + 12 * rng.standard_normal(labels.shape, np.float32)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)
