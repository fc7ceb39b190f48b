"""Value checks of arrays, such as ranges and finiteness, from one pass over each shard."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.layout import SPLITS
from unetprep.kernels.weight_formula import IGNORED

LIMITS: dict[str, tuple[float, float]] = {  # by the name of an array; without a limit, infinite
    "instances": (IGNORED, np.inf),
    "weights": (0, np.inf),
    "class_counts": (0, np.inf),
    "image_index": (0, np.inf),
    "split": (0, len(SPLITS) - 1),
    "foreground": (0, 1),
    "density": (0, 1),
    "y0": (0, np.inf),
    "x0": (0, np.inf),
}


OF_CLASSES = ("target", "classes")  # arrays that hold numbers of classes


def limits_of(path: str, num_classes: int) -> tuple[float, float]:
    """The least and the greatest value that an array may hold."""
    name = path.rpartition("/")[2]
    return (0, num_classes - 1) if name in OF_CLASSES else LIMITS.get(name, (-np.inf, np.inf))


def problem_with(limits: tuple[float, float], values: NDArray[Any]) -> str:
    """The first value outside of `limits` as text; "" if there is none."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return f"it holds {values[~np.isfinite(values)][0]}"
    least, most = limits
    low, high = values.min(), values.max()
    if low < least or high > most:
        return f"it holds {low if low < least else high}, and may hold {_span(least, most)}"
    return ""


def _span(least: float, most: float) -> str:
    return f"{least:.0f} or more" if np.isinf(most) else f"{least:.0f} to {most:.0f}"
