"""Learning rate and optimizer."""

import pytest
import torch

from unettrain.config import FitConfig
from unettrain.model import UNet
from unettrain.optimizer import learning_rate_at, make_optimizer


def test_the_step_size_warms_up() -> None:
    config = FitConfig(learning_rate=0.1, warmup_steps=4, schedule="constant")
    assert [learning_rate_at(k, config) for k in (0, 1, 3, 4, 1000)] == pytest.approx([0.025, 0.05, 0.1, 0.1, 0.1])
    assert learning_rate_at(0, FitConfig(learning_rate=0.1, warmup_steps=0)) == 0.1


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("cosine", [0.5, 1.0, 1.0, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]),
        ("polynomial", [0.5, 1.0, 1.0, 0.75**0.9, 0.5**0.9, 0.25**0.9]),
    ],
)
def test_the_rate_falls_from_the_end_of_the_warm_up_to_the_last_step(schedule: str, rates: list[float]) -> None:
    config = FitConfig(learning_rate=1.0, warmup_steps=2, steps=6, schedule=schedule)
    assert [learning_rate_at(k, config) for k in range(6)] == pytest.approx(rates)
    assert learning_rate_at(6, config) == pytest.approx(rates[0] * 2 if schedule == "constant" else 0)


@pytest.mark.parametrize(
    ("options", "kind", "rate"),
    [
        ({}, torch.optim.Adam, 1e-3),
        ({"optimizer": "sgd"}, torch.optim.SGD, 1e-3),
        ({"optimizer": "adamw"}, torch.optim.AdamW, 1e-3),
        ({"optimizer": "adam", "learning_rate": 0.5}, torch.optim.Adam, 0.5),
    ],
)
def test_the_optimizer_has_the_rate_of_the_configuration(
    options: dict[str, object], kind: type[torch.optim.Optimizer], rate: float
) -> None:
    config = FitConfig(base_channels=1, **options)  # type: ignore[arg-type]
    model = UNet(config.network(1, 1))
    optimizer = make_optimizer(model, config)
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert group["lr"] == rate
    assert len(group["params"]) == len(list(model.parameters()))


def test_an_update_of_sgd_is_that_of_the_definition() -> None:
    """v = 0.9 v + gradient; w = w - rate v: with a gradient of 1, twice."""
    config = FitConfig(base_channels=1, optimizer="sgd", momentum=0.9, learning_rate=0.1)
    model = UNet(config.network(1, 1))
    optimizer = make_optimizer(model, config)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(2):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
    for p, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), old - 0.1 * (1 + 1.9))


def test_adamw_decays_the_weights_apart_from_the_gradient() -> None:
    config = FitConfig(base_channels=1, optimizer="adamw", weight_decay=0.5, learning_rate=0.1)
    model = UNet(config.network(1, 1))
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = make_optimizer(model, config)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), old * (1 - 0.1 * 0.5))
