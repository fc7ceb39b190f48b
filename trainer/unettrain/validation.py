"""Validation: loss, IoU of the foreground and AP of the instances over a split, without dropout."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unettrain.decoding.classes import foreground_of
from unettrain.decoding.selection import DecodingScores
from unettrain.errors import Failure, InvalidInput
from unettrain.loss import divisor, weighted_sums
from unettrain.metrics.components import label_components
from unettrain.metrics.overlap import Overlap, overlap
from unettrain.outcome import ADVICE
from unettrain.stream.batches import Batch

SAME = 1e-6  # relative difference below which outputs count as equal
Look = Callable[[Batch, Tensor, Tensor], None]  # at a batch, its scores (b, class, y, x) and its target (b, y, x)
Predict = Callable[[Batch], tuple[Tensor, Tensor, Tensor]]  # scores (b, class, y, x), target and weights (b, y, x)


@dataclass(frozen=True)
class Validation:
    """Loss over a split, normalised as in training; overlap of the foreground and AP where the weight is not 0.

    `ap` and `iou` are None if the split holds no cell, as a network that finds none would then be perfect. `ap` is the
    mean over IoU thresholds from 0.5 to 0.9; its true cells are the connected components of the target, in
    which cells do not touch, and are cut at the edges of tiles. `constant`: every pixel had the same output although
    the images vary.
    """

    loss: float
    cells: Overlap
    ap: float | None
    constant: bool = False

    @property
    def iou(self) -> float | None:
        """IoU of the foreground; None without true foreground."""
        return self.cells.iou if self.cells.tp + self.cells.fn else None


@dataclass(frozen=True)
class BestScores:
    """Scores of the best network so far, None before the first validation; and the number of validations since."""

    loss: float | None = None
    iou: float | None = None
    ap: float | None = None
    num_worse: int = 0

    def after(self, found: Validation, measure: str) -> "BestScores":
        """The scores after another validation, whose network is the best if `num_worse` is 0.

        `measure` is one of `FitConfig.best_by`.
        """
        now = BestScores(found.loss, found.iou, found.ap)
        if self.loss is None or measure == "last" or now._merit(measure) > self._merit(measure):
            return now
        return replace(self, num_worse=self.num_worse + 1)

    def _merit(self, measure: str) -> tuple[float, float]:
        """What networks are ordered by: the measure, of which more is better; of equal ones the lower loss."""
        loss = math.inf if self.loss is None else self.loss
        value = {"loss": -loss, "iou": self.iou, "ap": self.ap}[measure]
        return -math.inf if value is None else value, -loss


@torch.no_grad()
def validate(
    predict: Predict,
    batches: Iterable[Batch],
    normalizer: str,
    step: int,
    instances: DecodingScores,
    look: Look = lambda batch, scores, target: None,
) -> Validation:
    """Scores over a finite stream; `instances` collects those of its candidates, of which the best gives the AP.

    `look` is called with each batch in turn, until a score is not finite.

    Raises Failure if the loss is not finite, InvalidInput if the weights of all pixels are 0.
    """
    weighted, weight = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    cells, num_pixels, num_batches, spread = Overlap(), 0, 0, Spread()
    for batch in batches:
        scores, target, weights = predict(batch)
        sums = weighted_sums(scores, target, weights)
        weighted, weight = weighted + sums[0].cpu(), weight + sums[1].cpu()
        spread.add(batch.image, scores)
        counted = weights > 0
        truth, proposal = (a[counted].cpu().numpy() for a in (target, scores.argmax(1)))
        cells += overlap(truth > 0, proposal > 0)
        if bool(scores.isfinite().all()):
            look(batch, scores, target)
            instances.add(predicted_foreground(scores), label_components(target.cpu().numpy()), ~counted.cpu().numpy())
        num_pixels, num_batches = num_pixels + target.numel(), num_batches + 1
    if weight == 0:
        raise InvalidInput(
            "the weights of all pixels of the validation split are 0, so nothing can be validated",
            hint="hold other images out, or none (unetprep import --val-fraction)",
        )
    loss = float(weighted / divisor(weight, num_pixels, normalizer))
    if not math.isfinite(loss):
        raise Failure(f"the training diverged: after step {step} the validation loss is {loss}", hint=ADVICE)
    loss = loss / num_batches if normalizer == "none" else loss
    ap = instances.highest_ap() if instances.num_cells else None
    return Validation(loss, cells, ap, spread.is_constant)


def predicted_foreground(scores: Tensor) -> NDArray[np.float32]:
    """Probability of the foreground (b, y, x) of scores (b, class, y, x), as `foreground_of` of probabilities."""
    return foreground_of(scores.detach().float().softmax(1).movedim(1, 0).cpu().numpy())


class Spread:
    """Minimum and maximum output of each class over several batches."""

    def __init__(self) -> None:
        self._images_vary = False
        self._low: Tensor | None = None
        self._high: Tensor | None = None

    def add(self, image: Tensor, scores: Tensor) -> None:
        """Add the scores (b, class, y, x) of a batch of images (b, c, y, x)."""
        self._images_vary = self._images_vary or bool(image.min() < image.max())
        low, high = scores.amin((0, 2, 3)).float(), scores.amax((0, 2, 3)).float()
        self._low = low if self._low is None else torch.minimum(low, self._low)
        self._high = high if self._high is None else torch.maximum(high, self._high)

    @property
    def is_constant(self) -> bool:
        """Whether the images vary and no output does."""
        if self._low is None or self._high is None or not self._images_vary:
            return False
        return bool((self._high - self._low <= SAME * self._high.abs().clamp(min=1)).all())
