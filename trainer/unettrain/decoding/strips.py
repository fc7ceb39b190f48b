"""Strips: the rows of a slice in pieces that are computed in parallel and used in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import NamedTuple, TypeVar

STRIP_PIXELS = 1 << 20  # of a strip; about 30 bytes each are held by each thread
LEAST_ROWS, MOST_ROWS = 64, 1024

T = TypeVar("T")


class Strip(NamedTuple):
    """Rows `first` to `last` (exclusive) of a slice."""

    first: int
    last: int


def strips_of(height: int, width: int) -> list[Strip]:
    """The strips of a slice, from the first row on."""
    rows = min(MOST_ROWS, max(LEAST_ROWS, STRIP_PIXELS // max(1, width)))
    return [Strip(first, min(height, first + rows)) for first in range(0, height, rows)]


def in_order(
    executor: Executor | None, function: Callable[[Strip], T], strips: Iterable[Strip], ahead: int
) -> Iterator[tuple[Strip, T]]:
    """Apply a function to strips, up to `ahead` of them at a time; the results come in the order of the strips."""
    if executor is None:
        yield from ((strip, function(strip)) for strip in strips)
        return
    pending: deque[tuple[Strip, Future[T]]] = deque()
    try:
        for strip in strips:
            pending.append((strip, executor.submit(function, strip)))
            if len(pending) > ahead:
                done, future = pending.popleft()
                yield done, future.result()
        while pending:
            done, future = pending.popleft()
            yield done, future.result()
    finally:
        for _, future in pending:
            future.cancel()
