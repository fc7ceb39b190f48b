"""Prediction by overlap tiles (section 2, Fig. 2)."""

from collections.abc import Iterator

import numpy as np

from unettrain.config import UNetConfig
from unettrain.model import UNet
from unettrain.paper_check.line import Line, compared
from unettrain.prediction.image import predict_image

SEAM = 1e-5  # of a probability


def prediction_lines() -> Iterator[Line]:
    """A narrow, shallow network on an image that is no multiple of any tile."""
    model = UNet(UNetConfig(base_channels=4, depth=2))
    image = np.random.default_rng(0).random((1, 1, 101, 77), np.float32)
    tiled, whole = (predict_image(model, image, (0.0, 1.0), tile_px) for tile_px in (60, 188))
    off = float(abs(tiled - whole).max())
    says = "seamless at any size, by overlapping tiles"
    yield compared("tiled prediction", "section 2", says, f"differs from one tile by {off:.0e}", off <= SEAM)
    sums = float(abs(tiled.sum(0) - 1).max())
    yield compared("softmax", "section 3", "probabilities of all classes add to 1", f"to {sums:.0e}", sums < 1e-5)
