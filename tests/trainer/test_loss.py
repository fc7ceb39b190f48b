"""The loss against the paper's formula, written out pixel by pixel."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.loss import weighted_cross_entropy


def slow_energy(scores: NDArray[Any], target: NDArray[Any], weights: NDArray[Any]) -> float:
    """The sum over x of w(x) * -log p_target(x)(x)."""
    energy = 0.0
    for b, y, x in np.ndindex(target.shape):
        exponentials = [math.exp(float(a)) for a in scores[b, :, y, x]]
        energy += float(weights[b, y, x]) * -math.log(exponentials[target[b, y, x]] / sum(exponentials))
    return energy


def example(num_classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(num_classes)
    scores = rng.normal(0, 2, (2, num_classes, 4, 5)).astype(np.float32)
    target = rng.integers(0, num_classes, (2, 4, 5))
    weights = (rng.uniform(0, 11, (2, 4, 5)) * rng.integers(0, 2, (2, 4, 5))).astype(np.float32)
    return torch.from_numpy(scores), torch.from_numpy(target), torch.from_numpy(weights)


@pytest.mark.parametrize("normalizer", ["weights", "pixels", "none"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_it_is_the_papers_energy(normalizer: str, num_classes: int) -> None:
    scores, target, weights = example(num_classes)
    divisor = {"weights": float(weights.sum()), "pixels": 40.0, "none": 1.0}[normalizer]
    expected = slow_energy(scores.numpy(), target.numpy(), weights.numpy()) / divisor
    assert weighted_cross_entropy(scores, target, weights, normalizer).item() == pytest.approx(expected, rel=1e-5)


def test_a_known_value() -> None:
    scores = torch.zeros(1, 2, 1, 2)
    loss = weighted_cross_entropy(scores, torch.tensor([[[0, 1]]]), torch.tensor([[[1.0, 3.0]]]), "none")
    assert loss.item() == pytest.approx(4 * math.log(2))


@pytest.mark.parametrize("normalizer", ["weights", "pixels", "none"])
def test_without_any_weight_the_loss_and_its_gradient_are_0(normalizer: str) -> None:
    scores, target, weights = example()
    scores.requires_grad_()
    loss = weighted_cross_entropy(scores, target, torch.zeros_like(weights), normalizer)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_a_pixel_of_weight_0_has_no_gradient() -> None:
    scores, target, weights = example()
    scores.requires_grad_()
    weighted_cross_entropy(scores, target, weights).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert torch.equal(scores.grad.abs().sum(1) > 0, weights > 0)


def test_it_is_computed_in_float32_under_autocast() -> None:
    scores, target, weights = example()
    low = scores.to(torch.bfloat16)
    expected = weighted_cross_entropy(low.float(), target, weights)
    with torch.autocast("cpu", torch.bfloat16):
        loss = weighted_cross_entropy(low, target, weights)
    assert loss.dtype == torch.float32
    assert loss.item() == expected.item()


def test_an_unknown_normalizer_is_refused() -> None:
    with pytest.raises(InvalidInput, match="weights, pixels, none"):
        weighted_cross_entropy(*example(), normalizer="mean")


@pytest.mark.parametrize("shapes", [((1, 2, 4, 4), (1, 4, 4), (1, 1, 4)), ((1, 2, 4, 4), (1, 4, 3), (1, 4, 3))])
def test_other_shapes_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    scores, target, weights = torch.zeros(shapes[0]), torch.zeros(shapes[1], dtype=torch.int64), torch.ones(shapes[2])
    with pytest.raises(InvalidInput, match="do not fit"):
        weighted_cross_entropy(scores, target, weights)
