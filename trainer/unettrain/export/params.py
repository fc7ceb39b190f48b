"""Parameters of an export. Imports no torch."""

from dataclasses import dataclass

from unetprep.parameter import numbers, parameter
from unettrain.config.base import TrainerParams
from unettrain.errors import InvalidInput

FORMATS = ("onnx", "torch", "bioimageio")
ENDINGS = {"onnx": ".onnx", "torch": ".pt2", "bioimageio": ".zip"}
NAME = (r"[\w+\- ()]{5,64}", "5 to 64 letters, digits, spaces and _ + - ( )")
DOI = (r"10\.\d{4,9}/[^\s;]+(; *10\.\d{4,9}/[^\s;]+)*", "DOIs such as 10.1038/s41592-018-0261-2, separated by ;")


@dataclass(frozen=True)
class ExportParams(TrainerParams):
    """What an export holds. The texts are those of a bioimage.io package; other formats ignore them."""

    format: str = parameter(
        "onnx",
        "onnx: one file for ONNX Runtime and others; torch: a program of torch.export, .pt2; bioimageio: a package of"
        " the BioImage Model Zoo, .zip.",
        choices=FORMATS,
    )
    padding: str = parameter(
        "trained",
        "trained: as in the training; same: the same weights with zero padding, for tools that need an output of the"
        " input's size. The tool must then discard a halo, which the package declares.",
        choices=("trained", "same"),
    )
    intensity: tuple[float, float] | None = parameter(
        None,
        "Values LOW,HIGH that become 0 and 1 in every image, such as 0,4095.  [default: the rule of the training]",
        parse=numbers,
    )
    name: str = parameter("unettrain U-Net", "Name of the model.", form=NAME)
    description: str = parameter("", "What it segments, in a sentence.")
    author: str = parameter("", "Names of the authors, separated by semicolons.  [default: not given]")
    license: str = parameter("", "SPDX identifier of the license of the weights, such as CC-BY-4.0.  [default: none]")
    cite: str = parameter("", "DOIs to cite besides the U-Net paper, separated by semicolons.", form=DOI)

    def __post_init__(self) -> None:
        super().__post_init__()
        pair = self.intensity
        if pair is not None and not (isinstance(pair, tuple) and len(pair) == 2 and pair[0] < pair[1]):
            raise InvalidInput(f"intensity is {pair!r}", allowed="two numbers LOW,HIGH of which LOW is less")
        if "/" in self.author:
            raise InvalidInput(f"author is {self.author!r}", allowed="names without /, separated by ;")


def split_list(text: str) -> tuple[str, ...]:
    """The items of a text that are separated by semicolons."""
    return tuple(item.strip() for item in text.split(";") if item.strip())
