"""Constants and reach of the two weight-map formulas. Standard library only, so that the command line can import it.

`paper` (Ronneberger et al. 2015, Eq. 2), with d1, d2 the distances to the nearest and the second nearest cell:

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

`falk2019`, the rule of the authors' later plugin (Falk et al. 2019, U-Net: deep learning for cell counting, detection,
and morphometry; lmb-freiburg/Unet-Segmentation): 1 in a cell, and in the background, which weighs v far from all cells,
with a rim of width s1 around every cell,

    w(x) = v + (1 - v) exp(-d1(x)^2 / (2 s1^2)) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

The paper leaves open where its second term applies; it is there to teach the background between cells, so it stands on
background alone unless it is asked for on all pixels. Both are a weight for each class and Gaussians on top.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IGNORED = -1  # the label of pixels that count for nothing: no cell, no background, weight 0
LARGEST_WEIGHT = 1e15  # float32 sums of so large weights over any batch stay finite
SMALLEST = 2.0**-24  # half the step of a float32 just under 1: no weight near 1 is moved by less
LARGEST_ANISOTROPY = 1000  # longest over shortest side of a pixel: squared distances are integers of 32 bits


@dataclass(frozen=True)
class Gaussian:
    """height * exp(-d^2 / (2 sigma^2)), cut off where it no longer moves a float32."""

    height: float
    sigma: float

    @property
    def reach(self) -> float:
        """From this distance on it is 0, a whole number: 31 for height 10 and sigma 5."""
        if self.height <= SMALLEST:
            return 0.0
        return float(math.ceil(self.sigma * math.sqrt(2 * math.log(self.height / SMALLEST))))


@dataclass(frozen=True)
class Formula:
    """Either formula. Lengths are in pixels, or in the unit of the pixel size where one is given."""

    border: Gaussian  # of d1 + d2
    boundary: Gaussian = Gaussian(0.0, 1.0)  # of d1
    class_weights: tuple[float, float] | None = None  # of background and cell; None: to be balanced or given
    on_cells: bool = False  # whether the Gaussians stand on cells too

    @property
    def reach(self) -> float:
        """How far around a pixel a cell can matter."""
        return max(self.border.reach, self.boundary.reach)


DEFAULTS: dict[str, dict[str, float]] = {
    "paper": {"w0": 10.0, "sigma": 5.0},
    "falk2019": {"w0": 50.0, "sigma": 6.0, "background_weight": 0.1, "rim_sigma": 10.0},
}


def are_class_weights(weights: Sequence[float]) -> bool:
    """Whether each is 0, or a number that float32 and the sums of a training keep."""
    return all(w == 0 or 1 / LARGEST_WEIGHT <= w <= LARGEST_WEIGHT for w in weights)


def resolve(name: str, given: dict[str, float | None]) -> dict[str, float]:
    """The constants of a formula: those given, for those that are None its authors'. ValueError for one it lacks."""
    if name not in DEFAULTS:
        raise ValueError(f"formula is {name!r}, not one of {', '.join(DEFAULTS)}")
    unknown = [key for key, value in given.items() if value is not None and key not in DEFAULTS[name]]
    if unknown:
        raise ValueError(f"the formula {name!r} has no {unknown[0]}, only {', '.join(DEFAULTS[name])}")
    return {
        key: default if given.get(key) is None else float(given[key] or 0) for key, default in DEFAULTS[name].items()
    }


def make_formula(name: str, given: dict[str, float | None], on_cells: bool = False) -> Formula:
    """A formula by its name and constants; see `resolve`."""
    c = resolve(name, given)
    border = Gaussian(c["w0"], c["sigma"])
    if name == "paper":
        return Formula(border, on_cells=on_cells)
    low = c["background_weight"]
    return Formula(border, Gaussian(1 - low, c["rim_sigma"]), (low, 1.0), on_cells)


def recorded_formula(parameters: Mapping[str, Any]) -> Formula:
    """The formula of a weight map, from the parameters that stand with it. KeyError where one is missing."""
    name = parameters["formula"]
    constants = {key: parameters[key] for key in DEFAULTS[name]}
    return make_formula(name, constants, parameters["border_on"] == "all")
