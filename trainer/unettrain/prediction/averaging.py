"""Scores of an image, averaged over its turned versions, computed unit by unit into planes.

Of two classes only the difference of their scores is kept, on which their probabilities depend.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unettrain.data.intensity import ArrayLike
from unettrain.model import UNet
from unettrain.prediction.planes import FilePlanes, MemoryPlanes, Planes, Shape
from unettrain.prediction.scores import Plan, plan_prediction, predict_units
from unettrain.prediction.turns import Flip, Rotation, turns_of
from unettrain.prediction.whole import plan_whole
from unettrain.prediction.windows import windows_of
from unettrain.prediction.work_folder import Position, WorkFolder

DTYPES = {"none": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class ScoreTask:
    """What is predicted: an image (c, z, y, x) by a network, `num_turns` turned versions of it, and how.

    `is_whole` predicts every slice as one tile, to compare.
    """

    model: UNet
    image: ArrayLike
    intensity: tuple[float, float]
    num_turns: int = 1
    amp: str = "none"
    tile_px: int | None = None
    batch: int | None = None
    is_whole: bool = False

    @property
    def shape(self) -> Shape:
        """Shape (plane, z, y, x) of the scores."""
        num = self.model.config.num_classes
        _, z, y, x = self.image.shape
        return (1 if num == 2 else num, z, y, x)

    def turned(self, turn: Flip | Rotation) -> tuple[ArrayLike, Plan]:
        """A turned version of the image, and the units of its prediction."""
        image = self.image if turn == Flip() else turn.image(self.image)
        if self.is_whole:
            return image, plan_whole(self.model, image.shape, "to check seams every slice is predicted as one tile")
        itemsize = DTYPES[self.amp].itemsize
        return image, plan_prediction(self.model, image.shape, self.tile_px, self.batch, itemsize)

    def plans(self) -> list[Plan]:
        """The units of work of each turned version."""
        return [self.turned(turn)[1] for turn in turns_of(self.num_turns)]


def summed_scores(
    task: ScoreTask, work: WorkFolder | None = None, on_unit: Callable[[int], None] = lambda num: None
) -> Planes:
    """The sum of the scores over all turned versions of an image; continues where the folder says.

    Without a folder they are in memory. `on_unit` is called with the number of units done since the last call.
    """
    turns, begun = turns_of(task.num_turns), work.position if work else Position()
    total: Planes | None = work.planes(f"sum-{begun.turn - 1}", task.shape) if work and begun.turn else None
    for k, turn in enumerate(turns):
        image, plan = task.turned(turn)
        if k < begun.turn:
            on_unit(plan.num_units)
            continue
        first = begun.unit if k == begun.turn else 0
        on_unit(first)
        name = f"turn-{k}" if k else "sum-0"
        shape = (task.shape[0], task.shape[1], *turn.sides((task.shape[2], task.shape[3])))
        planes = work.planes(name, shape) if work else MemoryPlanes(shape)
        for unit, blocks in predict_units(
            task.model, image, task.intensity, plan, first_unit=first, dtype=DTYPES[task.amp]
        ):
            for window, scores in blocks:
                planes.write(window, scores if task.shape[0] > 1 else scores[1:2] - scores[0:1])
            if work and isinstance(planes, FilePlanes):
                work.reached(Position(k, unit + 1), planes)
            on_unit(1)
        total = planes if total is None else _added(total, planes, turn, task.shape, work, f"sum-{k}")
        if work and isinstance(total, FilePlanes):
            work.record(Position(k + 1, 0), total)
            work.keep_only(total.path.name)
    assert total is not None
    return total


def _added(
    total: Planes, planes: Planes, turn: Flip | Rotation, shape: Shape, work: WorkFolder | None, name: str
) -> Planes:
    """The sum of planes and those of a turned version, turned back; both are closed."""
    out = work.planes(name, shape) if work else MemoryPlanes(shape)
    sides = (shape[2], shape[3])
    for w in windows_of(shape):
        out.write(w, total.read(w.z, w.rows, w.columns) + turn.back(planes, w, sides))
    total.close()
    planes.close()
    return out


def probabilities(scores: NDArray[np.float32], num_turns: int = 1) -> NDArray[np.float32]:
    """Probabilities (class, y, x) from sums of scores; of two classes only that of the second, (1, y, x)."""
    mean = torch.from_numpy(scores) / num_turns
    found: NDArray[np.float32] = (mean.sigmoid() if len(scores) == 1 else mean.softmax(0)).numpy()
    return found


def largest_difference(a: Planes, b: Planes, num_turns: int = 1) -> float:
    """The largest difference of the probabilities of two sums of scores."""
    most = 0.0
    for w in windows_of(a.shape):
        found, other = (probabilities(planes.read(w.z, w.rows, w.columns), num_turns) for planes in (a, b))
        most = max(most, float(abs(found - other).max()))
    return most
