"""Shape of the network."""

from dataclasses import dataclass

from unetprep.parameter import parameter
from unettrain.config.base import TrainerParams

MOST_CHANNELS, MOST_CLASSES = 4096, 256  # a target is uint8
VARIANTS = ("paper", "release")


@dataclass(frozen=True)
class UNetConfig(TrainerParams):
    """Shape of the network. The defaults are the paper's: 23 convolutions, 31,030,658 parameters."""

    in_channels: int = parameter(1, "Channels of the image.", least=1, most=2**16)
    num_classes: int = parameter(2, "Channels of the output.", least=2, most=MOST_CLASSES)
    base_channels: int = parameter(
        64, "Channels of the first level; each level below has twice as many.", least=1, most=MOST_CHANNELS
    )
    depth: int = parameter(4, "Number of pooling steps.", least=1, most=16)
    variant: str = parameter("paper", "paper, or the authors' 2015 release.", choices=VARIANTS)
    dropout: float = parameter(0.5, "Fraction of activations dropped at the two deepest levels.", least=0, under=1)
