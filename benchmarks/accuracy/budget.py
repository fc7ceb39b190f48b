"""Time as the budget of a training: CPU time; on a GPU, whose work is not that of the process, wall time."""

import time
from collections.abc import Callable


def clock_of(device: str) -> Callable[[], float]:
    """The clock of trainings on a device, in seconds: of CPU time, that of all threads of this process."""
    return time.process_time if device == "cpu" else time.perf_counter


class Budget:
    """Seconds that a training on a device may take."""

    def __init__(self, seconds: float, device: str = "cpu") -> None:
        self.seconds, self._clock = seconds, clock_of(device)
        self._start = self._clock()
        self._stopped: float | None = None

    def stop(self) -> None:
        """Leave out what follows, such as a validation."""
        self._stopped = self._clock()

    def resume(self) -> None:
        """Count again."""
        if self._stopped is not None:
            self._start, self._stopped = self._start + self._clock() - self._stopped, None

    @property
    def used(self) -> float:
        """The seconds used so far."""
        return (self._clock() if self._stopped is None else self._stopped) - self._start

    @property
    def fraction(self) -> float:
        """The share used so far, at most 1: what a learning rate follows."""
        return min(1.0, self.used / self.seconds)
