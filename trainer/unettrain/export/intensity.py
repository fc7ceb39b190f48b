"""The intensity scaling of a network as steps that other tools can do: linear, or by percentiles, then clipped."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.intensity_rules import CLIP
from unetprep.kernels.percentiles import TRIMMED
from unettrain.data.intensity import TrainingImages
from unettrain.errors import InvalidInput

TINY = 1e-12  # added to a width, so that a constant image does not divide by 0
PERCENT = 100 * TRIMMED[0] / TRIMMED[1]  # 0.02


@dataclass(frozen=True)
class Scaling:
    """Scaling of an image to what the network expects: values `low` and `high`, or percentiles, become 0 and 1.

    Then values are clipped to `CLIP`. `dtype` is that of the training images, of which `rule` chose the values.
    """

    rule: str
    dtype: str
    low: float | None = None
    high: float | None = None
    percentiles: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """The scaled image, float32 of the same shape."""
        values = image.astype(np.float64)
        low, high = self.low, self.high
        if self.percentiles is not None:
            low, high = (float(v) for v in np.percentile(values, self.percentiles))
            high += TINY
        assert low is not None
        assert high is not None
        return np.clip((values - low) / (high - low), *CLIP).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """The scaling as plain values, for JSON."""
        values = {"rule": self.rule, "dtype": self.dtype, "clip": list(CLIP)}
        if self.percentiles is None:
            return values | {"range": [self.low, self.high]}
        return values | {"percentiles": list(self.percentiles)}


def scaling_of(trained: TrainingImages, fixed: tuple[float, float] | None) -> Scaling:
    """The scaling that the training images had; with `fixed`, (low, high) for every image instead.

    Raises InvalidInput for a checkpoint that does not record its images, unless the range is fixed.
    """
    if fixed is not None:
        return Scaling("fixed", trained.dtype or "float32", *fixed)
    rule = "dtype" if trained.rule == "auto" and trained.dtype == "uint8" else trained.rule
    hint = "name the range of the images: --intensity LOW,HIGH, such as 0,255"
    if not trained.dtype:
        raise InvalidInput("the checkpoint does not record the dtype of its training images", hint=hint)
    if rule == "dtype" and np.dtype(trained.dtype).kind in "ui":
        limits = np.iinfo(trained.dtype)
        return Scaling(rule, trained.dtype, float(limits.min), float(limits.max))
    if rule == "minmax":
        return Scaling(rule, trained.dtype, percentiles=(0.0, 100.0))
    if rule == "percentile":
        note = (
            f"images are scaled by their percentiles {PERCENT:g} and {100 - PERCENT:g}, where unettrain predict takes"
            " those of medians of 2 x 2 pixels: a hot pixel or two may change the result slightly"
        )
        return Scaling(rule, trained.dtype, percentiles=(PERCENT, 100 - PERCENT), notes=(note,))
    raise InvalidInput(f"the intensity rule of the checkpoint is {rule!r}, which cannot be exported", hint=hint)
