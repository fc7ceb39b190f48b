"""Pictures of validation tiles with their prediction, which show a training at work."""

from collections.abc import Iterable
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
from unettrain.validation import Predict, predicted_foreground

FOLDER = "examples"  # in a run directory
GAP_PX = 4


def write_examples(run_dir: Path, step: int, predict: Predict, batches: Iterable[Batch]) -> Path:
    """Write a PNG with a row for each tile: image, target, probability of the foreground, and predicted cells."""
    rows = [row for batch in batches for row in _rows(batch, *predict(batch)[:2])]
    path = run_dir / FOLDER / f"step-{step:08d}.png"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as file:
        file.write(iio.imwrite("<bytes>", _stacked(rows, axis=0), extension=".png", plugin="pillow"))
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
