"""Prediction by overlap tiles (section 2, Fig. 2)."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from unettrain.config import UNetConfig
from unettrain.model import UNet
from unettrain.paper_check.line import Line, compared
from unettrain.prediction.image import predict_image
from unettrain.prediction.planes import MemoryPlanes
from unettrain.prediction.turns import turns_of
from unettrain.prediction.windows import Window

SIDES = (61, 45)
SEAM = 1e-5  # of a probability


def prediction_lines() -> Iterator[Line]:
    """A narrow, shallow network on an image that is no multiple of any tile."""
    model = UNet(UNetConfig(base_channels=4, depth=2)).eval()
    image = np.random.default_rng(0).random((1, 1, 101, 77), np.float32)
    tiled = predict_image(model, image, (0.0, 1.0), tile_px=60)
    off = float(abs(tiled[:, 0] - _in_one_tile(model, image[:, 0])).max())
    says = "seamless at any size, by overlapping tiles"
    yield compared("tiled prediction", "section 2", says, f"differs from one large tile by {off:.0e}", off <= SEAM)
    yield from _averaging()
    sums = float(abs(tiled.sum(0) - 1).max())
    yield compared("softmax", "section 3", "probabilities of all classes add to 1", f"to {sums:.0e}", sums < 1e-5)


@torch.no_grad()
def _in_one_tile(model: UNet, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (class, y, x) of an image (c, y, x) by the network itself, from the whole image at once."""
    config, sides = model.config, image.shape[1:]
    before = config.border_px // 2
    after = [config.legal_tiles_near(side + config.border_px)[1] - side - before for side in sides]
    tile = np.pad(image, [(0, 0), *((before, n) for n in after)], mode="reflect")
    found: NDArray[np.float32] = model(torch.from_numpy(tile)[None]).softmax(1)[0].numpy()
    return found[:, : sides[0], : sides[1]]


def _averaging() -> Iterator[Line]:
    """Turned versions of an image of its row and column numbers, turned back; angles from where the rows then run."""
    y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in SIDES), indexing="ij")
    image = np.stack([y, x])[:, None]
    for num, source, says in (
        (7, "section 4", "7 rotated versions of the input, averaged; which ones is not said"),
        (4, "release", "4 flips, averaged"),
    ):
        angles, off = [], 0.0
        for turn in turns_of(num):
            turned = np.asarray(turn.image(image)[0:2, 0, 0 : turn.sides(SIDES)[0], 0 : turn.sides(SIDES)[1]])
            down, right = (np.diff(turned[0], axis=axis)[tuple(n // 2 for n in turned.shape[1:])] for axis in (0, 1))
            angles.append(round(float(np.degrees(np.arctan2(right, down))) % 360))
            planes = MemoryPlanes((2, 1, *turned.shape[1:]))
            planes.write(Window(0, 0, turned.shape[1], 0, turned.shape[2]), turned)
            back = turn.back(planes, Window(0, 0, SIDES[0], 0, SIDES[1]), SIDES)
            off = max(off, float(abs(back - image[:, 0])[:, 2:-2, 2:-2].max()))
        expected = {round(360 * k / 7) for k in range(7)} if num == 7 else {0, 180}
        found = f"--tta {num}: rows run at {', '.join(map(str, sorted(angles)))} degrees; turned back to {off:.0e} px"
        holds = len(angles) == num and off < 1e-3 and set(angles) == expected
        yield compared(f"averaging of {num} predictions", source, says, found, holds)
