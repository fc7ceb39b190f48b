"""Kinds and ranges of augmentation."""

from dataclasses import dataclass

from unetprep.parameter import parameter
from unettrain.config.base import TrainerParams


@dataclass(frozen=True)
class Augmentation(TrainerParams):
    """Kinds and ranges of augmentation. The defaults are the paper's: deform, flips and gray values."""

    deform: bool = parameter(True, "Deform each tile by one of the stored fields.")
    flips: bool = parameter(True, "Mirror each tile and rotate it by multiples of 90 degrees, at random.")
    gray_values: bool = parameter(
        True, "Vary the black and white level of each tile by up to 5 percent, and the curve between them."
    )
    rotation: float = parameter(
        0.0, "Also rotate each tile by up to this many degrees in either direction.", least=0, most=360
    )
    scale: float = parameter(1.0, "Scale each tile up or down by up to this factor, such as 1.2.", least=1, most=16)
    shift: float = parameter(0.0, "Shift each tile by up to this many pixels along each axis.", least=0, most=4096)
    noise: float = parameter(
        0.0, "Add Gaussian noise of this standard deviation, as a fraction of the intensity range.", least=0, most=100
    )
    blur: float = parameter(
        0.0, "Blur each tile by a Gaussian with a sigma of up to this many pixels.", least=0, most=100
    )
    cubic: bool = parameter(False, "Interpolate the image cubically instead of linearly.")
    recompute_weights: bool = parameter(
        False,
        "Compute target and weights of each deformed tile from its deformed cells instead of deforming them; needs"
        " tiles made with --instances.",
    )
