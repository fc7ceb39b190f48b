"""Learning rate and optimizer."""

import pytest

from unettrain.config import FitConfig
from unettrain.optimizer import learning_rate_at


def test_the_step_size_warms_up() -> None:
    config = FitConfig(learning_rate=0.1, warmup_steps=4)
    assert [learning_rate_at(k, config) for k in (0, 1, 3, 4, 1000)] == pytest.approx([0.025, 0.05, 0.1, 0.1, 0.1])
    assert learning_rate_at(0, FitConfig(learning_rate=0.1, warmup_steps=0)) == 0.1
