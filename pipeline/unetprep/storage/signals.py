"""Deferral of SIGINT and SIGTERM during writes that must not be interrupted.

Python runs signal handlers in the main thread between two bytecodes. A handler that raises during a write inside a C++
library makes the library report an error of its own instead of the interrupt.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer SIGINT and SIGTERM until the block ends, then pass the one that arrived to its handler.

    Does nothing outside of the main thread, where no handler runs. Blocks may be nested: the outermost one delivers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _deferred(signal.SIGTERM), _deferred(signal.SIGINT):
        yield


@contextmanager
def _deferred(number: signal.Signals) -> Iterator[None]:
    arrived: list[int] = []

    def record(signum: int, frame: FrameType | None) -> None:
        arrived.append(signum)

    handler = signal.getsignal(number)
    if handler is None:  # not installed by Python, and cannot be restored
        yield
        return
    signal.signal(number, record)
    try:
        yield
    finally:
        signal.signal(number, handler)
        if arrived:
            signal.raise_signal(number)
