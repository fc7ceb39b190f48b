"""Weighted softmax cross-entropy (Ronneberger et al. 2015, Eq. 1).

    E = sum over x of w(x) * -log p_target(x)(x)          (the printed formula lacks the minus)

As printed it is a plain sum, 150,544 times the mean at 388 x 388 pixels. The authors' later plugin (Falk et al. 2019)
divides by the sum of the weights, so that one learning rate suits any tile size and any scale of the weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from unettrain.errors import InvalidInput

NORMALIZERS = ("weights", "pixels", "none")


def weighted_cross_entropy(scores: Tensor, target: Tensor, weights: Tensor, normalizer: str = "weights") -> Tensor:
    """The loss of a batch, a float32 scalar, computed in float32 also under autocast.

    scores (b, class, y, x) of any float dtype, before the softmax; target (b, y, x) int64; weights (b, y, x), not
    negative. `normalizer` is the divisor of sum(w * CE) over the batch: "weights", sum(w); "pixels", the number of
    pixels, including those of weight 0; "none", 1. If every weight is 0 the loss is 0.
    """
    if normalizer not in NORMALIZERS:
        raise InvalidInput(f"normalizer is {normalizer!r}", allowed=", ".join(NORMALIZERS))
    weighted, weight = weighted_sums(scores, target, weights)
    return weighted / divisor(weight, target.numel(), normalizer)


def weighted_sums(scores: Tensor, target: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """sum(w * CE) and sum(w) over a batch, float32; validation accumulates them over a split.

    Raises InvalidInput if scores, target and weights do not have the same pixels.
    """
    if not (scores.shape[0], *scores.shape[2:]) == target.shape == weights.shape:
        raise InvalidInput(
            f"scores {tuple(scores.shape)}, target {tuple(target.shape)} and weights {tuple(weights.shape)} do not fit",
            allowed="(b, class, y, x), (b, y, x) and (b, y, x)",
        )
    with torch.autocast(scores.device.type, enabled=False):
        entropy = F.cross_entropy(scores.float(), target, reduction="none")  # (b, y, x)
        weights = weights.float()
        return (weights * entropy).sum(), weights.sum()


def divisor(weight: Tensor, num_pixels: int, normalizer: str) -> Tensor:
    """What the sum of w * CE is divided by; not 0, also where the sum of the weights, `weight`, is 0."""
    if normalizer == "weights":
        return weight.clamp_min(torch.finfo(torch.float32).tiny)
    return torch.full_like(weight, num_pixels if normalizer == "pixels" else 1)
