"""Prediction by overlap tiles (section 2, Fig. 2)."""

from collections.abc import Iterator

import numpy as np
import torch

from unettrain.config import UNetConfig
from unettrain.model import UNet
from unettrain.paper_check.line import Line, compared
from unettrain.prediction.image import predict_image
from unettrain.prediction.panels import Window
from unettrain.prediction.planes import MemoryPlanes
from unettrain.prediction.turns import turns_of
from unettrain.prediction.whole import whole_scores

SEAM = 1e-5  # of a probability


def prediction_lines() -> Iterator[Line]:
    """A narrow, shallow network on an image that is no multiple of any tile."""
    model = UNet(UNetConfig(base_channels=4, depth=2)).eval()
    image = np.random.default_rng(0).random((1, 1, 101, 77), np.float32)
    tiled = predict_image(model, image, (0.0, 1.0), 60)
    whole = torch.from_numpy(whole_scores(model, image[:, 0], (0.0, 1.0))).softmax(0).numpy()  # by model.forward
    off = float(abs(tiled[:, 0] - whole).max())
    says = "seamless at any size, by overlapping tiles"
    yield compared("tiled prediction", "section 2", says, f"differs from one tile by {off:.0e}", off <= SEAM)
    sums = float(abs(tiled.sum(0) - 1).max())
    yield compared("softmax", "section 3", "probabilities of all classes add to 1", f"to {sums:.0e}", sums < 1e-5)
    yield _averages()


def _averages() -> Line:
    """A line on the average over rotated versions: an image that is rotated and rotated back is itself."""
    y, x = np.mgrid[:61, :81]
    image = (0.5 + 0.4 * np.sin(y / 9) * np.cos(x / 11)).astype(np.float32)[None, None]
    turns, off = turns_of(7), 0.0
    for turn in turns[1:]:
        turned = turn.image(image)
        planes = MemoryPlanes((1, 1, turned.shape[2], turned.shape[3]))
        window = Window(0, 0, turned.shape[2], 0, turned.shape[3])
        planes.write(window, turned[:, 0, 0 : window.y1, 0 : window.x1])
        off = max(off, float(abs(turn.back(planes, 0, 0, 61, (61, 81)) - image[0])[:, 2:-2, 2:-2].max()))
    found = f"{len(turns)} with --tta 7, turned back to within {off:.0e}"
    holds = len(set(turns)) == 7 and off < 0.01
    reason = "which rotations is not said: here by multiples of 360/7 degrees; off by default, as it takes longer"
    return compared("rotated versions", "section 4", "the average over 7 rotated versions", found, holds, reason)
