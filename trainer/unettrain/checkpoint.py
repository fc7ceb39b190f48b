"""A trained network in one file: weights, configuration, and all that is needed to go on training it.

The file is written whole beside its place and then moved there, so that a reader never meets half of one. It is read
with torch's `weights_only`, which runs no code that a file might carry.
"""

import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch

from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet

FORMAT = "unettrain checkpoint"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A network after `step` updates, the tile it was trained on, and, to go on, the optimizer's state."""

    network: UNetConfig
    weights: dict[str, Any]
    tile_px: int
    step: int
    seed: int
    best_loss: float | None = None
    pending_loss: float | None = None  # of the last update, where its validation and its log line are still to come
    optimizer: dict[str, Any] = field(default_factory=dict)
    intensity_rule: str = "auto"  # by which the range of a new image is found
    image_dtype: str = ""  # of the stored training images; "" in checkpoints of releases before it was recorded
    training_intensity: dict[str, Any] = field(default_factory=dict)  # as unettrain.intensity.TrainingImages writes it

    def build(self) -> UNet:
        """The network itself, on the CPU, in evaluation mode."""
        model = UNet(self.network)
        model.load_state_dict(self.weights)
        return model.eval()


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; what stood at `path` is replaced only once the new one is on disk."""
    content = {f.name: getattr(checkpoint, f.name) for f in fields(checkpoint)}
    content |= {"format": FORMAT, "format_version": FORMAT_VERSION, "network": asdict(checkpoint.network)}
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. Raises InvalidInput for a file that is none, or of another format version."""
    if not Path(path).is_file():
        raise InvalidInput(f"there is no checkpoint at {path}", allowed="a file such as RUN/best.pt or RUN/last.pt")
    if not is_zipfile(path):
        raise InvalidInput(f"{path} is no checkpoint: not a file that torch wrote, or cut short")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError) as error:
        raise InvalidInput(f"{path} is no checkpoint: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise InvalidInput(f"{path} is no checkpoint of unettrain", allowed="best.pt or last.pt of a run")
    version = content.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise InvalidInput(f"{path} is a checkpoint of format version {version}", allowed=str(FORMAT_VERSION))
    return Checkpoint(**{**content, "network": UNetConfig(**content["network"])})
