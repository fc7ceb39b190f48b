"""A trained network, as all methods give it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trained:
    """A network that maps an image (y, x) uint8 to the probability of a cell (y, x) float32, or to instances int32.

    `seconds` is the time of the steps with their augmentation. `about` is put into the results.
    """

    predict: Callable[[NDArray[np.uint8]], NDArray[Any]]
    steps: int
    seconds: float
    num_parameters: int
    about: dict[str, Any] = field(default_factory=dict)
