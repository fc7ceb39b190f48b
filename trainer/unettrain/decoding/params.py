"""Parameters of the decoding of probabilities into instances. Imports neither torch nor numba."""

from dataclasses import dataclass

from unetprep.parameter import parameter
from unettrain.config import TrainerParams

INSTANCES = ("watershed", "components", "none")
SEEDS = ("distance", "probability")
MOST_AREA_PX = 2**40


@dataclass(frozen=True)
class DecodingParams(TrainerParams):
    """How foreground probabilities become instances; see `unettrain.decoding.separate_instances`."""

    instances: str = parameter(
        "watershed",
        "watershed: connected pixels above the threshold, split where they narrow; components: connected pixels above"
        " the threshold; none: probabilities only.",
        choices=INSTANCES,
    )
    threshold: float = parameter(0.5, "Least probability of the foreground.", least=0, most=1)
    seeds: str = parameter(
        "distance",
        "What instances are separated by: distance, to the background; or probability, of the foreground.",
        choices=SEEDS,
    )
    smoothing_px: float = parameter(
        2.0, "Standard deviation, in pixels, by which distance or probability is smoothed.", least=0, most=32
    )
    min_depth: float = parameter(
        0.25,
        "Depth of the pass between two instances: they are one unless distance or probability falls, on the way from"
        " the lower peak to the other, by this fraction of it. 0: every peak is an instance; 1: none is split.",
        least=0,
        most=1,
    )
    min_area_px: int = parameter(20, "Instances of fewer pixels are dropped.", least=0, most=MOST_AREA_PX)
    fill_holes_px: int = parameter(
        50,
        "Holes of up to this many pixels become foreground before instances are separated.",
        least=0,
        most=MOST_AREA_PX,
    )
    grow_px: int = parameter(
        0, "Grow instances by this many pixels into the background, without overlap.", least=0, most=64
    )
