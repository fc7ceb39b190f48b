"""Configuration of network, training and augmentation, with defaults, limits and help. Imports no torch.

The command line makes its options from `FitConfig`, and a run directory and a checkpoint record both classes.
"""

import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from unettrain.errors import InvalidInput
from unettrain.schema import conforms, describe_type


def option(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    above: float | None = None,
    under: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    changes_result: bool = True,
) -> Any:
    """A field: its default, its help, what it may be, and whether a run that differs in it is another run.

    `least` and `most` are allowed themselves, `above` and `under` are not. A number must be finite in any case.
    """
    bounds = {"at least": least, "above": above, "under": under, "at most": most}
    metadata = {"help": help, "bounds": bounds, "choices": choices, "changes_result": changes_result}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Checked:
    """Base of the classes below: checks the type of every value, and its field's limits."""

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for f in fields(self):
            value, name, kind = getattr(self, f.name), f.name.replace("_", "-"), kinds[f.name]
            choices = f.metadata["choices"]
            if not conforms(value, kind):
                raise InvalidInput(f"{name} is {value!r}"[:200], allowed=", ".join(choices) or describe_type(kind))
            if choices and value not in choices:
                raise InvalidInput(f"{name} is {value!r}", allowed=", ".join(choices))
            if isinstance(value, int | float) and not isinstance(value, bool):
                _check_bounds(name, value, f.metadata["bounds"])


def _check_bounds(name: str, value: float, bounds: Mapping[str, float | None]) -> None:
    """Raise InvalidInput for a number outside of its field's bounds, or one that is not finite."""
    largest = LARGEST if isinstance(value, int) else sys.float_info.max
    inside = -largest <= value <= largest and all(
        bound is None or COMPARE[kind](value, bound) for kind, bound in bounds.items()
    )
    if not inside:
        said = [f"{kind} {bound}" for kind, bound in bounds.items() if bound is not None]
        is_open = not {"under", "at most"} & {kind for kind, bound in bounds.items() if bound is not None}
        allowed = ", ".join([*said, "and finite"] if is_open else said).replace(", under", " and under")
        raise InvalidInput(f"{name} is {value}", allowed=allowed)


COMPARE: dict[str, Callable[[float, float], bool]] = {
    "at least": operator.ge, "above": operator.gt, "under": operator.lt, "at most": operator.le,
}  # fmt: skip
LARGEST = 2**64 - 1  # a seed
MOST_CHANNELS, MOST_CLASSES = 4096, 256  # a target is uint8
VARIANTS = ("paper", "release")
SHUFFLES = ("tiles", "shards")
SAMPLINGS = ("uniform", "foreground")


@dataclass(frozen=True)
class UNetConfig(Checked):
    """The shape of the network. With the defaults it is the paper's: 23 convolutions, 31,030,658 parameters."""

    in_channels: int = option(1, "Channels of the image.", least=1, most=2**16)
    num_classes: int = option(2, "Channels of the output.", least=2, most=MOST_CLASSES)
    base_channels: int = option(
        64, "Channels of the first level; every level below has twice as many.", least=1, most=MOST_CHANNELS
    )
    depth: int = option(4, "How many times the network pools.", least=1, most=16)
    variant: str = option("paper", "paper, or the authors' 2015 release.", choices=VARIANTS)
    dropout: float = option(0.5, "Share of activations dropped at the two deepest levels.", least=0, under=1)


@dataclass(frozen=True)
class Augmentation(Checked):
    """Which kinds of augmentation are on, and how far they go. The paper's: deform, flips and gray values."""

    deform: bool = option(True, "Deform each tile by one of the stored fields.")
    flips: bool = option(True, "Mirror and turn each tile by quarter turns at random.")
    gray_values: bool = option(
        True, "Shift the black and the white level of each tile by up to 5 percent, and bend the curve between them."
    )
    rotation: float = option(
        0.0, "Rotate each tile by up to so many degrees to either side, besides.", least=0, most=360
    )
    scale: float = option(1.0, "Make each tile up to so many times larger or smaller, such as 1.2.", least=1, most=16)
    shift: float = option(0.0, "Shift each tile by up to so many pixels along each axis.", least=0, most=4096)
    noise: float = option(
        0.0, "Add Gaussian noise of this standard deviation, of the image's range.", least=0, most=100
    )
    blur: float = option(0.0, "Blur each tile by a Gaussian of up to so many pixels.", least=0, most=100)
    cubic: bool = option(False, "Interpolate the image cubically instead of linearly.")
    recompute_weights: bool = option(
        False,
        "Compute target and weights of each deformed tile anew from its deformed cells, instead of deforming them; of"
        " tiles made with --instances.",
    )


@dataclass(frozen=True)
class TrainingConfig(Checked):
    """How to train. The paper fixes momentum, batch size, dropout and loss, and says nothing of rate and steps."""

    steps: int = option(
        10_000, "Updates in all. An existing run goes on up to this number.", least=1, most=10**12, changes_result=False
    )
    batch_size: int = option(
        1, "Tiles a step. The paper prefers one large tile to a batch of small ones.", least=1, most=2**16
    )
    optimizer: str = option("sgd", "sgd with momentum, as in the paper; or adam.", choices=("sgd", "adam"))
    learning_rate: float | None = option(
        None,
        "Step size; the paper gives none. At 1e-2 sgd may die.  [default: 1e-3 for sgd, 1e-4 for adam]",
        above=0,
    )
    momentum: float = option(0.99, "Momentum of sgd; at 0.99 it multiplies the step size by 100.", least=0, under=1)
    warmup_steps: int = option(0, "Raise the step size from 0 over this many steps at the start.", least=0)
    clip_norm: float = option(
        1.0, "Scale a gradient of a greater norm down to this one, which keeps sgd from dying. 0: never.", least=0
    )
    normalizer: str = option(
        "weights",
        "What the weighted sum over the pixels is divided by: the sum of the weights, the number of pixels, or none (as"
        " the paper prints it; it asks for a step size 10,000 times smaller).",
        choices=("weights", "pixels", "none"),
    )
    base_channels: int = option(
        64, "Channels of the first level: 64 in the paper; 8 to 16 train on a laptop.", least=1, most=MOST_CHANNELS
    )
    num_classes: int = option(2, "Classes in the target, background included.", least=2, most=MOST_CLASSES)
    variant: str = option(
        "paper", "paper, or release: the authors' 2015 network, with 31,100,354 parameters.", choices=VARIANTS
    )
    dropout: float = option(0.5, "Share of activations dropped at the two deepest levels.", least=0, under=1)
    seed: int = option(0, "Decides the initial weights, the order of the tiles, augmentation and dropout.", least=0)
    shuffle: str = option(
        "tiles",
        "tiles: every order of all tiles is as likely; shards: 16 shards of 64 tiles at a time, in a random order, so"
        " that what is read lies together, for stores where reading here and there is dear.",
        choices=SHUFFLES,
    )
    sampling: str = option(
        "uniform",
        "uniform: every tile once an epoch; foreground: the more often the more cells it holds, which count 1 a pixel,"
        " and background 0.1, as in the authors' later plugin.",
        choices=SAMPLINGS,
    )
    augment_on: str = option(
        "threads",
        "threads: the threads that read the tiles augment them; device: the GPU does, by the same draws, where it is"
        " faster than the CPU's cores can feed it.",
        choices=("threads", "device"),
    )
    cache_mib: int = option(
        1024,
        "Of virtual tiles: so many MiB of their images are kept in memory.",
        least=0,
        changes_result=False,
    )
    precision: str = option(
        "float32",
        "float32, or bfloat16 for the convolutions (about 1.6 times faster; the loss stays float32).",
        choices=("float32", "bfloat16"),
    )
    validate_every: int = option(
        200, "Steps between validations; each also saves the run.", least=1, changes_result=False
    )
    log_every: int = option(10, "Steps between lines of log.jsonl.", least=1, changes_result=False)
    device: str = option("auto", "auto (a GPU if there is one), cpu, cuda, cuda:1, mps ...", changes_result=False)
    threads: int | None = option(
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
        """The network for tiles of so many channels and this depth."""
        return UNetConfig(in_channels, self.num_classes, self.base_channels, depth, self.variant, self.dropout)

    @property
    def peak_learning_rate(self) -> float:
        """The step size after the warm-up."""
        if self.learning_rate is not None:
            return self.learning_rate
        return {"sgd": 1e-3, "adam": 1e-4}[self.optimizer]


@dataclass(frozen=True)
class FitConfig(Augmentation, TrainingConfig):
    """A training run: how it trains, and how its tiles are augmented."""

    def augmentation(self) -> Augmentation:
        """What happens to its tiles."""
        return Augmentation(**{f.name: getattr(self, f.name) for f in fields(Augmentation)})
