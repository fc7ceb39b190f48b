"""Checkpoints of small networks to export."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from unettrain.checkpoint import Checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.model import UNet

SMALL = UNetConfig(base_channels=4, depth=1)
SEEN = {"range": [10.0, 180.0], "percentiles": [12.0, 170.0], "width": [90.0, 220.0], "pixel_um": [0.5, 0.25]}
MakeCheckpoint = Callable[..., Path]


def write_checkpoint(folder: Path, network: UNetConfig = SMALL, **fields: object) -> Path:
    """Write best.pt of a small network, with fields of `Checkpoint`, to a folder."""
    model = UNet(network, seed=3)
    if network.normalization == "batch":  # running statistics of some images
        model.train()
        for _ in range(3):
            model(torch.rand(1, network.in_channels, 28, 28))
    known = {"intensity_rule": "dtype", "image_dtype": "uint8", "training_intensity": SEEN}
    checkpoint = Checkpoint(network, model.state_dict(), 28, 7, 3)
    save_checkpoint(folder / "best.pt", replace(checkpoint, **(known | fields)))  # type: ignore[arg-type]
    return folder / "best.pt"


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """`write_checkpoint` to the folder of the test."""
    return partial(write_checkpoint, tmp_path)
