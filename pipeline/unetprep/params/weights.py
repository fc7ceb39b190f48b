"""Parameters of the weight maps."""

from dataclasses import dataclass
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.kernels.weight_formula import (
    DEFAULTS,
    LARGEST_WEIGHT,
    Formula,
    are_class_weights,
    make_formula,
    resolve,
)
from unetprep.lengths import METERS
from unetprep.parameter import Params, as_text, numbers, parameter
from unetprep.params.pixel_size import check_spacing

LARGEST_REACH_PX = 2048  # of a weight map's Gaussians: the side of a shard
CLASS_WEIGHT_RULES = ("auto", "balanced", "none")


@dataclass(frozen=True)
class WeightsParams(Params):
    """The weight map: the paper's Eq. 2, or the rule of its authors' later plugin."""

    formula: str = parameter(
        "paper",
        "paper: Eq. 2 of Ronneberger et al. 2015; falk2019: the authors' later plugin.",
        choices=tuple(DEFAULTS),
    )
    w0: float | None = parameter(None, "Height of the border term.  [default: 10; falk2019: 50]", least=0)
    sigma: float | None = parameter(
        None,
        "Width of the border term, in pixels (along x) or the unit of --spacing.  [default: 5; falk2019: 6]",
        least=1e-3,
    )
    background_weight: float | None = parameter(
        None, "falk2019: weight of the background far from all cells.  [default: 0.1]", least=0
    )
    rim_sigma: float | None = parameter(
        None, "falk2019: width of the rim of heavier background around every cell.  [default: 10]", least=1e-3
    )
    spacing: tuple[float, ...] | None = parameter(
        None,
        "Pixel size along each axis, such as 4,1,1 for z,y,x; lengths such as --sigma are then in its unit.  [default:"
        " that of the import in pixels along x, so that only its ratios count; 1 where it is unknown]",
        parse=numbers,
    )
    lengths: str = parameter(
        "pixels",
        "Unit of --sigma and --rim-sigma: pixels, or a unit such as micrometer, for images whose pixel size is known.",
        choices=("pixels", *METERS),
    )
    class_weights: str | tuple[float, ...] = parameter(
        "auto",
        "w_c. balanced: from the number of pixels of each class in the whole data set; none: 1 for each; or two"
        " numbers, background,cell, or one for each class; auto: balanced, but with falk2019 that formula's own.",
        parse=numbers,
    )
    border_on: str = parameter(
        "background",
        "Pixels that the border term is added to: the background alone, or all.",
        choices=("background", "all"),
    )
    separate: str = parameter(
        "raster",
        "Background between touching cells. raster: a line of one pixel, as in the authors' plugin; symmetric: a line"
        " of two, one pixel of each cell; none.",
        choices=("raster", "symmetric", "none"),
    )
    engine: str = parameter(
        "numba",
        "What computes the distances. numba: fast; edt: one distance transform for each cell, by the package edt.",
        choices=("numba", "edt"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            constants = resolve(self.formula, self._constants())
        except ValueError as error:
            raise InvalidInput(str(error).replace("_", "-"), hint="leave it off, or use --formula falk2019") from None
        for name, value in constants.items():
            object.__setattr__(self, name, value)
        if self.background_weight is not None and self.background_weight > 1:
            raise InvalidInput(f"background-weight is {self.background_weight}", allowed="0 to 1")
        if self.w0 is not None and self.w0 > LARGEST_WEIGHT:
            raise InvalidInput(f"w0 is {self.w0:g}", allowed=f"0 to {LARGEST_WEIGHT:g}")
        self._check_class_weights(self.class_weights)
        if self.spacing is not None:
            check_spacing(self.spacing)
        if self.spacing is not None and self.lengths != "pixels":
            raise InvalidInput(
                f"lengths is {self.lengths}, and spacing is {as_text(self.spacing)}, in whose unit lengths are already",
                allowed="one of both; --lengths takes the pixel size of the import",
            )
        if self.lengths == "pixels":
            self.check_reach(self.spacing or (1.0,))

    def _check_class_weights(self, weights: Any) -> None:
        if self.formula != "paper" and weights != "auto":
            raise InvalidInput(
                f"class-weights is {as_text(weights)}, but the formula {self.formula} has its own",
                allowed="auto",
                hint="its weight of background is --background-weight, that of cells 1",
            )
        are_some = isinstance(weights, tuple) and len(weights) >= 2 and all(isinstance(w, float) for w in weights)
        if weights not in CLASS_WEIGHT_RULES and not (are_some and are_class_weights(weights) and max(weights) > 0):
            raise InvalidInput(
                f"class-weights is {as_text(weights)}",
                allowed="auto, balanced, none, or a number for each class such as 1,2.5, not all 0;"
                f" each 0 or {1 / LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}",
            )

    def check_reach(self, spacing: tuple[float, ...]) -> None:
        """Raise InvalidInput for Gaussians so wide that no block around a pixel would hold all that matters to it."""
        finest = min(spacing)
        formula = self.made_formula()
        for name, gaussian in (("sigma", formula.border), ("rim-sigma", formula.boundary)):
            if gaussian.reach > LARGEST_REACH_PX * finest:
                largest = gaussian.sigma * LARGEST_REACH_PX * finest / gaussian.reach
                raise InvalidInput(
                    f"{name} is {gaussian.sigma:g}: its term would reach {gaussian.reach / finest:.4g} pixels far",
                    allowed=f"up to about {largest:.3g}, for a reach of {LARGEST_REACH_PX} pixels",
                )

    def _constants(self) -> dict[str, float | None]:
        names = ("w0", "sigma", "background_weight", "rim_sigma")
        return {name: getattr(self, name) for name in names}

    def made_formula(self) -> Formula:
        """The formula with these constants."""
        return make_formula(self.formula, self._constants(), self.border_on == "all")

    def fixed_class_weights(self) -> tuple[float, ...] | None:
        """The class weights if they are given or the formula's, None if they come from the data."""
        if isinstance(self.class_weights, tuple):
            return self.class_weights
        return (1.0, 1.0) if self.class_weights == "none" else self.made_formula().class_weights
