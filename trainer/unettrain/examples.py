"""Pictures of validation tiles with their prediction, which show a training at work."""

from collections.abc import Collection
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unetprep.pictures import Picture, cells_over, grey
from unetprep.storage.atomic import replacing
from unettrain.decoding.arrays import separate_instances
from unettrain.model import centre_crop
from unettrain.stream.batches import Batch
from unettrain.validation import predicted_foreground

FOLDER = "examples"  # in a run directory
GAP_PX = 4


class Examples:
    """A picture with a row for some batches of a validation: image, target, foreground probability, predicted cells.

    `places` are those of the batches among all, in ascending order. Their scores are those of the validation.
    """

    def __init__(self, places: Collection[int]) -> None:
        self._places, self._num_seen = places, 0
        self._rows: list[Picture] = []

    def look(self, batch: Batch, scores: Tensor, target: Tensor) -> None:
        """Take the next batch, its scores (b, class, y, x) and its target (b, y, x), if it is one of them."""
        if self._num_seen in self._places:
            self._rows += _rows(batch, scores, target)
        self._num_seen += 1

    def write(self, run_dir: Path, step: int) -> Path:
        """Write the PNG."""
        path = run_dir / FOLDER / f"step-{step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as file:
            file.write(iio.imwrite("<bytes>", _stacked(self._rows, axis=0), extension=".png", plugin="pillow"))
        return path


def _rows(batch: Batch, scores: Tensor, target: Tensor) -> list[Picture]:
    image = centre_crop(batch.image.cpu(), scores.shape[2:]).numpy()
    return [_row(*tile) for tile in zip(image, target.cpu().numpy(), predicted_foreground(scores), strict=True)]


def _row(image: NDArray[np.float32], target: NDArray[np.int64], foreground: NDArray[np.float32]) -> Picture:
    shown = [grey(image), grey((target > 0)[None], (0, 1)), grey(foreground[None], (0, 1))]
    return _stacked([*shown, cells_over(image, separate_instances(foreground))], axis=1)


def _stacked(parts: list[Picture], axis: int) -> Picture:
    """Pictures beside or below each other, with a white gap."""
    gap = [(0, 0), (0, 0), (0, 0)]
    gap[axis] = (0, GAP_PX)
    padded = [np.pad(part, gap, constant_values=255) for part in parts[:-1]]
    return np.concatenate([*padded, parts[-1]], axis=axis)
