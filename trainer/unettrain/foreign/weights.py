"""Import of foreign weights from a file into a checkpoint."""

import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from unetprep.kernels.intensity_rules import INTENSITY_RULES
from unetprep.storage.output import OutputKind, check_output
from unettrain.checkpoint import FOREIGN_CONTENT, FORMAT, Checkpoint, is_finite, load_checkpoint, save_checkpoint
from unettrain.config import PADDINGS, UNetConfig
from unettrain.errors import InvalidInput, raises_own_errors
from unettrain.foreign.layers import layers_of
from unettrain.foreign.matching import CONCATENATIONS, match

COMMAND = "unettrain import-weights"
TILE_PX = 572  # used where nothing else is said
DTYPES = ("uint8", "uint16", "float32")


@dataclass(frozen=True)
class Imported:
    """A checkpoint with foreign weights; pairs (layer in the file, layer of ours), and entries that were ignored."""

    path: Path
    network: UNetConfig
    pairs: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for JSON."""
        pairs = [list(pair) for pair in self.pairs]
        return {"out": str(self.path), "network": asdict(self.network), "layers": pairs, "ignored": list(self.ignored)}


@raises_own_errors
def load_foreign_weights(
    path: str | Path,
    out: str | Path,
    *,
    concatenation: str,
    padding: str,
    intensity_rule: str = "dtype",
    image_dtype: str = "uint8",
    overwrite: bool = False,
) -> Imported:
    """Make a checkpoint from the state dict of another U-Net, to predict with it or to train it further.

    `path` is a file of torch.save: a state dict, or a dictionary with one. Layers are matched by order and shape:
    double 3x3 convolutions, each with or without batch normalisation and a ReLU, widths that double from level to
    level, 2x2 up-convolutions, a 1x1 head. What the file cannot tell must be said: `concatenation`, "up-first" for
    [upsampled, skip] or "skip-first"; `padding`, "same" or "valid"; and by which rule and from which dtype images were
    scaled to 0..1. Other activations than ReLU, and normalisation without parameters, cannot be seen: compare a
    prediction with one of the other software.

    Nothing is taken in part: raises InvalidInput, naming the tensor, if one does not fit. No code of the file is run.
    """
    _check_choices(concatenation, padding, intensity_rule, image_dtype)
    output = check_output(out, OutputKind(COMMAND, (".pt",), _is_checkpoint), overwrite=overwrite, inputs=[path])
    state, ignored = _state_dict(Path(path))
    found = match(layers_of(state), concatenation, padding)
    broken = next((name for name, tensor in found.weights.items() if not is_finite(tensor)), None)
    if broken:
        raise InvalidInput(f"{path} holds weights that are not finite, for {broken}; nothing was imported")
    tile_px = found.network.legal_tiles_near(TILE_PX)[0]
    checkpoint = Checkpoint(
        found.network, found.weights, tile_px, 0, 0, intensity_rule=intensity_rule, image_dtype=image_dtype
    )
    with output.writing() as place:
        save_checkpoint(place, checkpoint)
    return Imported(Path(out), found.network, found.pairs, ignored)


def _check_choices(concatenation: str, padding: str, intensity_rule: str, image_dtype: str) -> None:
    choices = {
        "concatenation": (concatenation, CONCATENATIONS),
        "padding": (padding, PADDINGS),
        "intensity": (intensity_rule, tuple(rule for rule in INTENSITY_RULES if rule != "auto")),
        "dtype": (image_dtype, DTYPES),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise InvalidInput(f"{name} is {value!r}", allowed=", ".join(allowed))


def _state_dict(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of a file by name, and the names of its other entries."""
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}", allowed="a file of torch.save with a state dict")
    content = _load(path)
    if not isinstance(content, dict):
        raise InvalidInput(f"{path} holds {type(content).__name__}", allowed="a state dict: tensors by name")
    if content.get("format") == FORMAT:
        raise InvalidInput(
            f"{path} is a checkpoint of unettrain already",
            allowed="the weights of other software",
            hint=f"use it as it is: unettrain predict {path} ..., or unettrain fit STORE --from {path}",
        )
    inner = [key for key, value in content.items() if isinstance(value, dict) and _tensors_of(value)]
    if not _tensors_of(content) and len(inner) == 1:
        others = tuple(str(key) for key in content if key != inner[0])
        content = content[inner[0]]
    elif inner:
        raise InvalidInput(
            f"{path} holds several groups of tensors: {', '.join(map(str, inner))}",
            allowed="one state dict",
            hint="save the one that is meant alone",
        )
    else:
        others = ()
    tensors = _tensors_of(content)
    if not tensors:
        raise InvalidInput(f"{path} holds no tensors", allowed="a state dict: tensors by name")
    return tensors, (*others, *(str(key) for key in content if key not in tensors))


def _tensors_of(values: dict[Any, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _load(path: Path) -> object:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged:
                raise InvalidInput(f"{path} is damaged: the checksum of {damaged} does not match")
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:  # torch's message suggests loading the file in a way that runs its code
        raise InvalidInput(
            f"{path} holds objects other than tensors and plain data, and was not loaded",
            allowed="a file of torch.save(model.state_dict(), path)",
        ) from None
    except (*FOREIGN_CONTENT, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} cannot be read as a file of torch ({type(error).__name__})") from None


def _is_checkpoint(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except InvalidInput:
        return False
    return True
