"""The moving average of the weights."""

import pytest
import torch

from unettrain.config import UNetConfig
from unettrain.ema import averaged_copy, update_average
from unettrain.model import UNet


def test_it_is_the_recursive_mean_of_the_definition() -> None:
    model = UNet(UNetConfig(base_channels=1, depth=1))
    averaged = averaged_copy(model)
    expected: torch.Tensor = next(model.parameters()).detach().clone()
    for step in range(30):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(1)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = torch.add(decay * expected, (1 - decay) * next(model.parameters()).detach())
        update_average(averaged, model, 0.5, step)
    torch.testing.assert_close(next(averaged.parameters()), expected)
    assert not next(averaged.parameters()).requires_grad


def test_buffers_are_copied() -> None:
    model = UNet(UNetConfig(base_channels=1, depth=1))
    model.register_buffer("seen", torch.tensor([3]))
    averaged = averaged_copy(model)
    model.get_buffer("seen").fill_(7)
    update_average(averaged, model, 0.9, 0)
    assert averaged.get_buffer("seen").item() == 7
    assert next(averaged.parameters()).data_ptr() != next(model.parameters()).data_ptr()


@pytest.mark.parametrize("decay", [0.1, 0.999])
def test_the_first_steps_forget_the_initial_weights(decay: float) -> None:
    model = UNet(UNetConfig(base_channels=1, depth=1))
    averaged = averaged_copy(model)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(1.0)
    update_average(averaged, model, decay, 0)
    initial = next(UNet(UNetConfig(base_channels=1, depth=1)).parameters())
    torch.testing.assert_close(next(averaged.parameters()), 0.9 + 0.1 * initial.detach())
