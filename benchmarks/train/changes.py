"""The changes of the recipe that are measured, one at a time against `BASE`, in the order of their importance."""

from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.train.data_sets import Variant

BASE: dict[str, Any] = {
    "base_channels": 8,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "dropout": 0.5,
    "device": "cpu",
    "threads": 1,
}


@dataclass(frozen=True)
class Change:
    """A change of the preparation or of the options of `fit`; `selects`: its networks on the way are scored too."""

    name: str
    about: str
    options: dict[str, Any] = field(default_factory=dict)
    variant: Variant = field(default_factory=Variant)
    selects: bool = False
    turn: int = 1  # 0: trained before the others, 2: after them
    only: tuple[str, ...] = ()  # data sets where it changes something; all if empty


GREY_8 = ("dsb2018", "isbi2012")  # uint8; of the others intensities follow from percentiles

OURS: dict[str, Any] = {"dropout": 0.0, "schedule": "cosine"}
NONE = Variant(class_weights="none")


def ours(name: str, about: str, *only: str, intensity: str = "auto", **options: Any) -> Change:
    """A change of the second recipe."""
    turn = 2 if options.keys() & {"normalization", "optimizer"} else 1
    return Change(f"ours, {name}", about, OURS | options, replace(NONE, intensity=intensity), turn=turn, only=only)


CHANGES = (
    Change(
        "ours",
        "w_c = 1, no dropout, learning rate from 1e-3 to 0 along half a cosine",
        OURS,
        NONE,
        selects=True,
        turn=0,
    ),
    Change("ours, balanced", "classes balanced", OURS, turn=0),
    ours("dropout 0.5", "dropout at the two deepest levels", dropout=0.5),
    ours("no deformation", "flips and gray values alone", deform=False),
    ours("constant", "constant learning rate", schedule="constant"),
    ours("percentile", "intensity by percentiles; the default for uint16", *GREY_8, intensity="percentile"),
    ours("minmax", "intensity by the range of each image", "dsb2018", "usiigaci", intensity="minmax"),
    ours("batch norm", "batch normalisation", *GREY_8, normalization="batch"),
    Change(
        "base",
        "classes balanced, dropout 0.5, constant learning rate of 1e-3",
        selects=True,
        only=GREY_8,
    ),
    ours("sgd", "SGD, momentum 0.99, learning rate 1e-3", *GREY_8, optimizer="sgd"),
)
