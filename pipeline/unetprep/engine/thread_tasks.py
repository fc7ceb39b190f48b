"""Bounded, ordered execution of functions on threads of this process."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

TASKS_A_WORKER = 2  # in flight at a time

T = TypeVar("T")
OnProgress = Callable[..., None]  # (done, to do), and what else to show, by name


class Tasks:
    """Runs functions on threads and yields their results in order, a bounded number at a time."""

    def __init__(self, executor: ThreadPoolExecutor, most: int, on_progress: OnProgress) -> None:
        self._executor, self._most, self._on_progress = executor, most, on_progress
        self._done = self._total = 0

    def run(self, functions: Sequence[Callable[[], T]]) -> Iterator[T]:
        """The result of each function."""
        self._total += len(functions)
        waiting: deque[Any] = deque()
        for function in functions:
            waiting.append(self._executor.submit(function))
            if len(waiting) == self._most:
                yield self._next(waiting)
        while waiting:
            yield self._next(waiting)

    def _next(self, waiting: deque[Any]) -> Any:
        result = waiting.popleft().result()
        self._done += 1
        self._on_progress(self._done, self._total)
        return result
