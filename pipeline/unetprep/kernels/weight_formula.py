"""Constants and reach of the two weight-map formulas. Standard library only, for fast imports by the command line.

`paper` (Ronneberger et al. 2015, Eq. 2), with d1, d2 the distances to the nearest and the second nearest cell:

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

`falk2019`, the rule of the authors' later plugin (Falk et al. 2019, U-Net: deep learning for cell counting, detection,
and morphometry; lmb-freiburg/Unet-Segmentation): 1 in a cell; in the background, which has weight v far from all cells,
with a boundary of heavier background of width s1 around every cell,

    w(x) = v + (1 - v) exp(-d1(x)^2 / (2 s1^2)) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

The paper leaves open where its second term applies. Its purpose is to teach the background between cells, so by default
it applies to background only. Both formulas are the sum of a weight for each class and Gaussians.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_CLASSES = 255  # background included; a target is uint8, and one more value stands for ignored pixels
IGNORED = -1  # the label of ignored pixels: neither cell nor background, weight 0
LARGEST_WEIGHT = 1e15  # float32 sums of such weights over any batch are finite
SMALLEST = 2.0**-24  # half the step of a float32 just under 1: smaller terms do not change a weight near 1
LARGEST_ANISOTROPY = 1000  # longest over shortest side of a pixel, since squared distances are integers of 32 bits


@dataclass(frozen=True)
class Gaussian:
    """height * exp(-d^2 / (2 sigma^2)), truncated where it no longer changes a float32."""

    height: float
    sigma: float

    @property
    def reach(self) -> float:
        """Distance, rounded up to an integer, from which on it is 0: 31 for height 10 and sigma 5."""
        if self.height <= SMALLEST:
            return 0.0
        return float(math.ceil(self.sigma * math.sqrt(2 * math.log(self.height / SMALLEST))))


@dataclass(frozen=True)
class Formula:
    """Either formula. Lengths are in pixels, or in the unit of the pixel size if it is given."""

    border: Gaussian  # of d1 + d2
    boundary: Gaussian = Gaussian(0.0, 1.0)  # of d1
    class_weights: tuple[float, float] | None = None  # of background and cell; None: balanced or given separately
    on_cells: bool = False  # whether the Gaussians apply to cells too

    @property
    def reach(self) -> float:
        """Largest distance at which a cell can change the weight of a pixel."""
        return max(self.border.reach, self.boundary.reach)


DEFAULTS: dict[str, dict[str, float]] = {
    "paper": {"w0": 10.0, "sigma": 5.0},
    "falk2019": {"w0": 50.0, "sigma": 6.0, "background_weight": 0.1, "rim_sigma": 10.0},
}


BOUNDS = {
    "w0": (0.0, LARGEST_WEIGHT),
    "sigma": (1e-6, 1e6),
    "background_weight": (0.0, 1.0),
    "rim_sigma": (1e-6, 1e6),
}


def are_class_weights(weights: Sequence[float]) -> bool:
    """Whether each is 0, or a number in the range that float32 and sums during training can represent."""
    return all(w == 0 or 1 / LARGEST_WEIGHT <= w <= LARGEST_WEIGHT for w in weights)


def resolve(name: str, given: dict[str, float | None]) -> dict[str, float]:
    """The constants of a formula, with the authors' values for those that are None.

    Raises ValueError for an unknown formula, and for a constant that the formula does not have.
    """
    if name not in DEFAULTS:
        raise ValueError(f"formula is {name!r}, not one of {', '.join(DEFAULTS)}")
    unknown = [key for key, value in given.items() if value is not None and key not in DEFAULTS[name]]
    if unknown:
        raise ValueError(f"the formula {name!r} has no {unknown[0]}, only {', '.join(DEFAULTS[name])}")
    return {
        key: default if given.get(key) is None else float(given[key] or 0) for key, default in DEFAULTS[name].items()
    }


def check_constants(given: Mapping[str, float | None]) -> None:
    """Raise ValueError for a constant that is not a number within its `BOUNDS`; None is the default."""
    for name, value in given.items():
        least, most = BOUNDS[name]
        if value is not None and (isinstance(value, str | bool) or not least <= value <= most):  # True for NaN
            raise ValueError(f"{name} is {value!r}, not a number from {least:g} to {most:g}")


def make_formula(name: str, given: dict[str, float | None], on_cells: bool = False) -> Formula:
    """A formula from its name and constants; raises ValueError as `resolve` does."""
    c = resolve(name, given)
    border = Gaussian(c["w0"], c["sigma"])
    if name == "paper":
        return Formula(border, on_cells=on_cells)
    low = c["background_weight"]
    return Formula(border, Gaussian(1 - low, c["rim_sigma"]), (low, 1.0), on_cells)


def recorded_formula(parameters: Mapping[str, Any]) -> Formula:
    """The formula of a weight map from its recorded parameters. Raises KeyError for a missing parameter."""
    name = parameters["formula"]
    constants = {key: parameters[key] for key in DEFAULTS[name]}
    return make_formula(name, constants, parameters["border_on"] == "all")
