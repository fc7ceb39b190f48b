"""Throughput, waiting, and the estimate of a long training, on a clock of the test's own."""

import pytest

from unettrain.config import FitConfig
from unettrain.pace import Pace, time_notice


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def paced(num: int, waiting_s: float, working_s: float, first_s: float = 0.0) -> Pace:
    """The pace of `num` steps, each waited for and worked on for so long; the first one for `first_s` more."""
    clock = Clock()
    pace = Pace(clock)

    def batches() -> object:
        for _ in range(num):
            clock.now += waiting_s
            yield None

    for k, _ in enumerate(pace.timed(batches())):  # type: ignore[arg-type]
        clock.now += working_s + (first_s if k == 0 else 0)
    return pace


def test_the_pace_leaves_out_the_first_step() -> None:
    pace = paced(10, waiting_s=0.5, working_s=1.5, first_s=100)
    assert pace.seconds_per_step == pytest.approx(2.0)
    assert pace.seconds == pytest.approx(120)


def test_the_share_of_waiting_is_that_of_the_last_steps() -> None:
    assert paced(10, waiting_s=0.5, working_s=1.5).waiting == pytest.approx(0.25)
    assert paced(200, waiting_s=0.5, working_s=1.5, first_s=1e6).waiting == pytest.approx(0.25)
    assert paced(0, 1, 1).waiting is None


def test_a_pace_is_not_known_before_three_steps_and_five_seconds() -> None:
    assert paced(2, 1, 9).seconds_per_step is None
    assert paced(30, 0, 0.1).seconds_per_step is None
    assert paced(3, 1, 1).seconds_per_step == pytest.approx(2)


def notice(steps_left: int, channels: int, on_gpu: bool = False) -> str | None:
    return time_notice(paced(5, 0, 10), steps_left, FitConfig(base_channels=channels), on_gpu)


def test_a_long_training_on_a_cpu_is_announced_with_what_takes_less() -> None:
    said = notice(1000, 64)
    assert said is not None
    assert said.startswith("1,000 steps of 10 s take about 2.8 h on this CPU; --preset small (8 channels instead of 64")
    assert notice(1000, 64, on_gpu=True) == "1,000 steps of 10 s take about 2.8 h"
    assert notice(100, 64) == "100 steps of 10 s take about 17 min"
    assert notice(5, 64) is None
    narrow = notice(1000, 4)
    assert narrow is not None
    assert "fewer --steps" in narrow
