"""The foreground of class probabilities, and the classes of pixels and of instances."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.numbering import count_classes
from unettrain.errors import InvalidInput


def foreground_of(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Probability of any class but background: (class, ...) -> (...) float32.

    Of two classes it is that of the second, which may be given alone; of more, 1 - P(background), from 0 on.
    """
    if len(probabilities) <= 2:
        return np.asarray(probabilities[-1], np.float32)
    return np.asarray(np.maximum(1 - np.asarray(probabilities[0], np.float32), 0), np.float32)


def likeliest_classes(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The likeliest class of each pixel besides background: (class, ...) -> (...) uint8 from 1 on.

    Of equally likely ones it is the first. Classes number up to 255.
    """
    return np.asarray(probabilities[1:].argmax(axis=0) + 1, np.uint8)


class ClassCounts:
    """Counts the pixels of each class in the instances 1 to `num_instances`, from parts of labels.

    8 bytes are held for each class of each instance.
    """

    def __init__(self, num_instances: int, num_classes: int) -> None:
        self._counts = np.zeros((num_instances + 1, num_classes), np.int64)

    def add(self, labels: NDArray[np.int32], classes: NDArray[np.uint8]) -> None:
        """Add labels and the classes of their pixels, both (rows, columns). Raises InvalidInput for other classes."""
        num = self._counts.shape[1]
        if classes.shape != labels.shape or classes.max(initial=0) >= num:
            raise InvalidInput(
                f"classes of shape {classes.shape} up to {classes.max(initial=0)}",
                allowed=f"of the shape of the labels, {labels.shape}, and up to {num - 1}",
            )
        count_classes(labels, classes, self._counts)

    def classes(self) -> NDArray[np.uint8]:
        """The class of most pixels of each of the instances 1, 2, ...; of equally frequent ones the first."""
        return np.asarray(self._counts[1:].argmax(axis=1), np.uint8)
