"""The foreground of class probabilities, and the class of each of its pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput


def foreground_of(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Probability of any class but background: (class, ...) -> (...) float32.

    Of two classes it is that of the second; of more, 1 - P(background), from 0 on. Raises InvalidInput for one class.
    """
    if len(probabilities) < 2:
        raise InvalidInput(f"probabilities of {len(probabilities)} class", allowed="background and at least one more")
    if len(probabilities) == 2:
        return np.asarray(probabilities[1], np.float32)
    return np.asarray(np.maximum(1 - np.asarray(probabilities[0], np.float32), 0), np.float32)


def likeliest_classes(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The likeliest class of each pixel besides background: (class, ...) -> (...) uint8 from 1 on.

    Of equally likely ones it is the first. Classes number up to 255.
    """
    return np.asarray(probabilities[1:].argmax(axis=0) + 1, np.uint8)
