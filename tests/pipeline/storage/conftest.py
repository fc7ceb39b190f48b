"""Fixtures of the storage tests: a signal whose handler raises."""

import signal
from collections.abc import Callable, Iterator

import pytest


class Asked(KeyboardInterrupt):
    pass


@pytest.fixture
def raising() -> Iterator[Callable[[], None]]:
    """Send SIGTERM to this process, whose handler raises."""

    def handler(*_: object) -> None:
        raise Asked

    before = signal.signal(signal.SIGTERM, handler)
    yield lambda: signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is handler
    signal.signal(signal.SIGTERM, before)
