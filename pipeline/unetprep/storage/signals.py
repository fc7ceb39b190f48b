"""Deferral of SIGINT and SIGTERM while something is written that must not be interrupted halfway.

Python runs signal handlers in the main thread between two bytecodes. A handler that raises there can end a write inside
a C++ library, which then reports an error of its own instead of the interrupt.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM until the block ends, then deliver the one that arrived to its own handler.

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
    if handler is None:  # installed by other code than Python, and cannot be put back
        yield
        return
    signal.signal(number, record)
    try:
        yield
    finally:
        signal.signal(number, handler)
        if arrived:
            signal.raise_signal(number)
