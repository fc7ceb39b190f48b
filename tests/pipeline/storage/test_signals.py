"""Signals held back while a file is written."""

from collections.abc import Callable

import pytest

from tests.pipeline.storage.conftest import Asked
from unetprep.storage.signals import deferred_signals


def test_signals_are_held_back_until_the_outermost_block_ends(raising: Callable[[], None]) -> None:
    seen = []
    with pytest.raises(Asked), deferred_signals():  # noqa: PT012
        with deferred_signals():
            raising()
            seen.append("inner")
        seen.append("outer")
    assert seen == ["inner", "outer"]
