"""Random crops of the training images, for the peers."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.data import Sample

Pixel = TypeVar("Pixel", bound=np.generic)


def crop(samples: Sequence[Sample], side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """A random crop (side, side) of a random image and of its labels; small images are mirrored to the side."""
    sample = samples[int(rng.integers(len(samples)))]
    image, labels = padded(sample.image, side), padded(sample.labels, side)
    y, x = (int(rng.integers(n - side + 1)) for n in image.shape)
    return image[y : y + side, x : x + side], labels[y : y + side, x : x + side]


def padded(plane: NDArray[Pixel], side: int) -> NDArray[Pixel]:
    """An image mirrored below and on the right to at least `side`."""
    missing = [(0, max(0, side - n)) for n in plane.shape]
    return np.pad(plane, missing, mode="reflect") if any(after for _, after in missing) else plane
