"""Training parameters, and the configuration of a run."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from unetprep.parameter import parameter
from unetprep.suggestions import did_you_mean
from unettrain.config.augmentation import Augmentation
from unettrain.config.base import TrainerParams
from unettrain.config.network import MOST_CHANNELS, MOST_CLASSES, NORMALIZATIONS, PADDINGS, VARIANTS, UNetConfig
from unettrain.config.presets import PRESETS, preset_values
from unettrain.errors import InvalidInput

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "polynomial")
AMP = ("none", "bf16", "fp16")
SHAPE = ("base_channels", "normalization", "padding", "variant")  # of the network, which fine-tuning takes over
BEST_BY = ("loss", "iou", "ap", "last")
SHUFFLES = ("tiles", "shards")
SAMPLINGS = ("uniform", "foreground")


@dataclass(frozen=True)
class TrainingConfig(TrainerParams):
    """Training parameters. The paper gives momentum, batch size, dropout and loss, but no learning rate or steps."""

    steps: int = parameter(
        2000,
        "Total number of updates. A run with a constant schedule can be continued to a larger number.",
        least=1,
        most=10**12,
        changes_result=False,
    )
    batch_size: int = parameter(
        1,
        "Tiles in each step, of all processes together; several processes take one each unless it is given. The paper"
        " prefers one large tile to a batch of small ones.",
        least=1,
        most=2**16,
    )
    accumulate: int = parameter(
        1,
        "Parts of a batch that pass through the network one after the other, to need less memory; the gradient is that"
        " of the whole batch.",
        least=1,
        most=2**16,
    )
    optimizer: str = parameter("adam", "sgd with momentum, as in the paper; adam; or adamw.", choices=OPTIMIZERS)
    learning_rate: float = parameter(
        1e-3, "Learning rate after the warm-up; the paper gives none. At 1e-2 sgd may diverge.", above=0
    )
    weight_decay: float = parameter(0.01, "Weight decay of adamw.", least=0, under=1)
    schedule: str = parameter(
        "cosine",
        "Learning rate after the warm-up: constant, or falling to 0 at the last step along half a cosine, or as a"
        " polynomial of power 0.9.",
        choices=SCHEDULES,
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
        16, "Channels of the first level: 64 in the paper; 8 to 16 train on a laptop.", least=1, most=MOST_CHANNELS
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
    dropout: float = parameter(
        0.0, "Fraction of activations dropped at the two deepest levels; 0.5 in the paper.", least=0, under=1
    )
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
    amp: str = parameter(
        "none",
        "Automatic mixed precision: convolutions in bf16, or in fp16 with a scaled loss, for GPUs without bf16. The"
        " weights and the loss stay float32.",
        choices=AMP,
    )
    ema: float = parameter(
        0.0,
        "Keep an exponential moving average of the weights with this decay, such as 0.999, and validate, keep and"
        " predict with it. 0: none.",
        least=0,
        under=1,
    )
    best_by: str = parameter(
        "ap",
        "What decides which network best.pt is: the lowest validation loss, the highest IoU of the foreground, the"
        " highest AP of the instances (mean over IoU thresholds 0.5 to 0.9), or last, the newest. Of equal ones the"
        " one with the lower loss.",
        choices=BEST_BY,
    )
    patience: int = parameter(
        0,
        "End the training after this many validations in a row without a better network. 0: never.",
        least=0,
        changes_result=False,
    )
    compile: bool = parameter(
        False, "Compile the network with torch.compile. Pays on GPUs, for long trainings.", changes_result=False
    )
    validate_every: int = parameter(
        200, "Steps between validations. Each validation also saves the run.", least=1, changes_result=False
    )
    checkpoint_every: int = parameter(
        0, "Also save the run every this many steps. 0: only by time.", least=0, changes_result=False
    )
    checkpoint_minutes: float = parameter(
        10.0,
        "Also save the run when this many minutes have passed since it was saved. 0: never.",
        least=0,
        changes_result=False,
    )
    keep: int = parameter(
        2,
        "States to continue from that are kept: last.pt and those before it, in RUN/checkpoints.",
        least=1,
        most=10_000,
        changes_result=False,
    )
    log_every: int = parameter(10, "Steps between lines of log.jsonl.", least=1, changes_result=False)
    examples: int = parameter(
        4,
        "Validation tiles that each validation shows with their prediction, RUN/examples/.",
        least=0,
        most=64,
        changes_result=False,
    )
    tensorboard: bool = parameter(
        False, "Also log to RUN/tensorboard, for TensorBoard; needs unetprep[tensorboard].", changes_result=False
    )
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
        if self.batch_size % self.accumulate:
            raise InvalidInput(
                f"a batch of {self.batch_size} tiles cannot be divided into {self.accumulate} equal parts",
                allowed="an accumulate that divides batch-size",
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


@dataclass(frozen=True)
class FitConfig(Augmentation, TrainingConfig):
    """Configuration of a training run: training and augmentation."""

    @classmethod
    def preset(cls, name: str, **values: Any) -> "FitConfig":
        """The configuration of a preset, with some values replaced. Raises InvalidInput for an unknown preset."""
        if name not in PRESETS:
            raise InvalidInput(f"preset is {name!r}", allowed=", ".join(PRESETS), hint=did_you_mean(name, PRESETS))
        return cls(**(preset_values(name, values) | values))

    def for_classes(self, num_classes: int) -> "FitConfig":
        """The configuration for a store with this number of classes. Raises InvalidInput if it asks for fewer."""
        if self.num_classes is not None and self.num_classes < num_classes:
            raise InvalidInput(
                f"num-classes is {self.num_classes}, and the store has {num_classes} classes",
                allowed=f"at least {num_classes}, or leave it out",
            )
        return self if self.num_classes else replace(self, num_classes=num_classes)

    def decisive(self) -> dict[str, Any]:
        """The values that the weights after a number of steps depend on; with a schedule, also the number of steps."""
        free = {f.name for f in fields(self) if not f.metadata["changes_result"]}
        free -= {"steps"} if self.schedule != "constant" else set()
        return {name: value for name, value in asdict(self).items() if name not in free}

    def augmentation(self) -> Augmentation:
        """The augmentation parameters alone."""
        return Augmentation(**{f.name: getattr(self, f.name) for f in fields(Augmentation)})
