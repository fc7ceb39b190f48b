"""Training parameters, and the configuration of a run."""

from dataclasses import dataclass, fields, replace

from unetprep.parameter import parameter
from unettrain.config.augmentation import Augmentation
from unettrain.config.base import TrainerParams
from unettrain.config.network import MOST_CHANNELS, MOST_CLASSES, NORMALIZATIONS, PADDINGS, VARIANTS, UNetConfig
from unettrain.errors import InvalidInput

SHUFFLES = ("tiles", "shards")
SAMPLINGS = ("uniform", "foreground")


@dataclass(frozen=True)
class TrainingConfig(TrainerParams):
    """Training parameters. The paper gives momentum, batch size, dropout and loss, but no learning rate or steps."""

    steps: int = parameter(
        10_000,
        "Total number of updates. An existing run continues up to this number.",
        least=1,
        most=10**12,
        changes_result=False,
    )
    batch_size: int = parameter(
        1, "Tiles in each step. The paper prefers one large tile to a batch of small ones.", least=1, most=2**16
    )
    optimizer: str = parameter("sgd", "sgd with momentum, as in the paper; or adam.", choices=("sgd", "adam"))
    learning_rate: float | None = parameter(
        None,
        "Learning rate; the paper gives none. At 1e-2 sgd may diverge.  [default: 1e-3 for sgd, 1e-4 for adam]",
        above=0,
    )
    momentum: float = parameter(
        0.99, "Momentum of sgd; 0.99 multiplies the effective learning rate by 100.", least=0, under=1
    )
    warmup_steps: int = parameter(0, "Increase the learning rate linearly from 0 over this many steps.", least=0)
    clip_norm: float = parameter(
        1.0, "Clip the norm of the gradient to this value, which keeps sgd from diverging. 0: no clipping.", least=0
    )
    normalizer: str = parameter(
        "weights",
        "Divisor of the weighted sum over the pixels: the sum of the weights, the number of pixels, or none (as printed"
        " in the paper; needs a learning rate 10,000 times smaller).",
        choices=("weights", "pixels", "none"),
    )
    base_channels: int = parameter(
        64, "Channels of the first level: 64 in the paper; 8 to 16 train on a laptop.", least=1, most=MOST_CHANNELS
    )
    num_classes: int | None = parameter(
        None,
        "Number of classes in the target, including background.  [default: that of the store]",
        least=2,
        most=MOST_CLASSES,
    )
    variant: str = parameter(
        "paper", "paper, or release: the authors' 2015 network, with 31,100,354 parameters.", choices=VARIANTS
    )
    dropout: float = parameter(0.5, "Fraction of activations dropped at the two deepest levels.", least=0, under=1)
    padding: str = parameter(
        "valid",
        "valid: no padding, as in the paper; same: zeros around each 3x3 convolution, so that the output has the side"
        " of the input, for tools that need this. The loss is of the tile's target in both.",
        choices=PADDINGS,
    )
    normalization: str = parameter(
        "none",
        "none, as in the paper; batch or instance: normalise after each 3x3 convolution. With instance a prediction"
        " depends on the tiles.",
        choices=NORMALIZATIONS,
    )
    seed: int = parameter(0, "Seed of the initial weights, the order of tiles, augmentation and dropout.", least=0)
    shuffle: str = parameter(
        "tiles",
        "tiles: all orders of the tiles are equally likely; shards: 16 random shards of 64 tiles are mixed at a time,"
        " so that reads are local, for stores where random access is slow.",
        choices=SHUFFLES,
    )
    sampling: str = parameter(
        "uniform",
        "uniform: every tile once in each epoch; foreground: more often the more cells a tile holds (a cell pixel"
        " counts 1, background 0.1, as in the authors' later plugin).",
        choices=SAMPLINGS,
    )
    augment_on: str = parameter(
        "threads",
        "threads: the reading threads augment the tiles; device: the GPU augments whole batches with the same"
        " parameters, for GPUs that are faster than the CPU can feed.",
        choices=("threads", "device"),
    )
    cache_mib: int = parameter(
        1024,
        "Cache for on-the-fly tiles: MiB of decoded images kept in memory.",
        least=0,
        changes_result=False,
    )
    precision: str = parameter(
        "float32",
        "float32, or bfloat16 for the convolutions (about 1.6 times faster; the loss stays float32).",
        choices=("float32", "bfloat16"),
    )
    validate_every: int = parameter(
        200, "Steps between validations. Each validation also saves the run.", least=1, changes_result=False
    )
    log_every: int = parameter(10, "Steps between lines of log.jsonl.", least=1, changes_result=False)
    device: str = parameter("auto", "auto (a GPU if there is one), cpu, cuda, cuda:1, mps ...", changes_result=False)
    threads: int | None = parameter(
        None, "Threads of the network on the CPU.  [default: all cores]", least=1, most=1024, changes_result=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.network(in_channels=1, depth=1)
        if self.warmup_steps > self.steps:
            raise InvalidInput(
                f"warmup-steps is {self.warmup_steps}: the training would end before its learning rate is reached",
                allowed=f"at most {self.steps}, the number of steps",
            )

    def network(self, in_channels: int, depth: int) -> UNetConfig:
        """The network for tiles with this number of channels and this depth; without `num_classes`, of two classes."""
        return UNetConfig(
            in_channels,
            self.num_classes or 2,
            self.base_channels,
            depth,
            self.variant,
            self.dropout,
            self.padding,
            self.normalization,
        )

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate after the warm-up."""
        if self.learning_rate is not None:
            return self.learning_rate
        return {"sgd": 1e-3, "adam": 1e-4}[self.optimizer]


@dataclass(frozen=True)
class FitConfig(Augmentation, TrainingConfig):
    """Configuration of a training run: training and augmentation."""

    def for_classes(self, num_classes: int) -> "FitConfig":
        """The configuration for a store with this number of classes. Raises InvalidInput if it asks for fewer."""
        if self.num_classes is not None and self.num_classes < num_classes:
            raise InvalidInput(
                f"num-classes is {self.num_classes}, and the store has {num_classes} classes",
                allowed=f"at least {num_classes}, or leave it out",
            )
        return self if self.num_classes else replace(self, num_classes=num_classes)

    def augmentation(self) -> Augmentation:
        """The augmentation parameters alone."""
        return Augmentation(**{f.name: getattr(self, f.name) for f in fields(Augmentation)})
