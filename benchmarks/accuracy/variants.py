"""What is trained: this project with its recommended recipe, its ablations, and its peers."""

from dataclasses import dataclass, field
from typing import Any

DATA = ("isbi2012", "nuclei")


@dataclass(frozen=True)
class Variant:
    """A method, a module of `benchmarks.accuracy.methods`, with the options of its function `train`."""

    name: str
    about: str
    method: str = "ours"
    options: dict[str, Any] = field(default_factory=dict)
    group: str = "ablations"
    data: tuple[str, ...] = DATA
    packages: tuple[str, ...] = ()  # to import; left out without them
    averaged: bool = False  # also score predictions averaged over turned images


VARIANTS = (
    Variant("unettrain", "the recommended recipe, `fit --preset fast`", group="ours", averaged=True),
    Variant(
        "MONAI UNet",
        "batch normalisation, Dice and cross-entropy",
        "monai_unet",
        group="peers",
        packages=("monai",),
        averaged=True,
    ),
    Variant(
        "nnU-Net 2D",
        "its network, loss, optimizer and augmentation, without its planner",
        "nnunet",
        group="peers",
        packages=("dynamic_network_architectures", "batchgeneratorsv2", "monai"),
    ),
    Variant(
        "StarDist 2D",
        "32 rays on a grid of 2 x 2 pixels",
        "stardist_2d",
        group="peers",
        data=("nuclei",),
        packages=("stardist", "tensorflow"),
    ),
    Variant(
        "no weight map",
        "every pixel counts the same",
        options={"weights": {"w0": 0.0, "class_weights": "none"}},
    ),
    Variant("no elastic deformation", "flips and gray values alone", options={"deform": False}),
    Variant("padded convolutions", "zeros around each 3x3 convolution", options={"padding": "same"}),
    Variant("weights of the plugin", "Falk et al. 2019", options={"weights": {"formula": "falk2019"}}),
    Variant("no normalisation", "as in the paper", options={"normalization": "none"}),
    Variant("four poolings", "as in the paper, on tiles of 444 px", options={"tile": 444, "depth": 4}),
    Variant("no class balance", "w_c = 1", options={"weights": {"class_weights": "none"}}),
)


def variants(groups: tuple[str, ...], data: str) -> list[Variant]:
    """The variants of some groups that a data set is used with."""
    return [variant for variant in VARIANTS if variant.group in groups and data in variant.data]
