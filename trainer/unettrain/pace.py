"""Pace of a training: throughput, the share of time spent waiting for data, and the time that is left."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from unettrain.config import FitConfig

Item = TypeVar("Item")

WINDOW = 50  # steps that the rates are measured over
SETTLED_STEPS, SETTLED_S = 3, 5.0  # before a pace is believed: the first step compiles and fills caches
SAID_S, LONG_S = 60.0, 1800.0
SMALL = "small"


class Pace:
    """Times of the last steps. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._times = deque[tuple[float, float]](maxlen=WINDOW)  # when waiting for a batch began, and when it ended
        self._begun = clock()
        self.num_steps = 0

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._begun

    def timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The batches, with the time that each one was waited for."""
        iterator = iter(batches)
        while True:
            begun = self._clock()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._times.append((begun, self._clock()))
            self.num_steps += 1
            yield batch

    @property
    def seconds_per_step(self) -> float | None:
        """Mean duration of the last steps, without the first one; None until there are enough."""
        settled = self.num_steps >= SETTLED_STEPS and self.seconds >= SETTLED_S
        if not settled or len(self._times) < 2:
            return None
        first = 1 if self.num_steps <= WINDOW else 0
        return (self._clock() - self._times[first][0]) / (len(self._times) - first)

    @property
    def waiting(self) -> float | None:
        """Share of the time of the last steps spent waiting for batches, 0 to 1; None before the first step."""
        if not self._times:
            return None
        whole = self._clock() - self._times[0][0]
        return sum(end - begun for begun, end in self._times) / whole if whole > 0 else 0.0


def time_notice(pace: Pace, steps_left: int, config: FitConfig, on_gpu: bool) -> str | None:
    """A sentence on how long the remaining steps take and, if that is long on a CPU, what takes less.

    None while the pace is not known, and for less than a minute.
    """
    each = pace.seconds_per_step
    if each is None or each * steps_left < SAID_S:
        return None
    said = f"{steps_left:,} steps of {each:.2g} s take about {_duration(each * steps_left)}"
    if on_gpu or each * steps_left < LONG_S:
        return said
    small = FitConfig.preset(SMALL)
    if config.base_channels <= small.base_channels:
        return f"{said} on this CPU; fewer --steps or smaller tiles take less"
    return (
        f"{said} on this CPU; --preset {SMALL} ({small.base_channels} channels instead of {config.base_channels},"
        f" {small.steps:,} steps) takes a fraction of it"
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"
