"""Kills of a run at any of its writes and deletions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from unetprep.storage import lock
from unetprep.storage.base import Storage
from unetprep.storage.local import LocalStorage

METHODS = ("put", "delete")


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def count_writes(work: Callable[[], object]) -> int:
    """How many writes and deletions on the local disk some work takes."""
    count = 0

    def counting(method: Callable[..., None]) -> Callable[..., None]:
        def call(self: Storage, *arguments: object) -> None:
            nonlocal count
            count += 1
            method(self, *arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in METHODS:
            patch.setattr(LocalStorage, name, counting(getattr(LocalStorage, name)))
        work()
    return count


@contextmanager
def killed(left: int, done: bool) -> Iterator[None]:
    """Kill what the block does at write or deletion `left`, counted from 0: before it, or just after it if `done`."""

    def killing(method: Callable[..., None]) -> Callable[..., None]:
        def call(self: Storage, *arguments: object) -> None:
            nonlocal left
            left -= 1
            if left < 0 and not done:
                raise Killed
            method(self, *arguments)
            if left < 0:
                raise Killed

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in METHODS:
            patch.setattr(LocalStorage, name, killing(getattr(LocalStorage, name)))
        with pytest.raises(Killed):
            yield
    lock._held.clear()


def kill_and_repeat(work: Callable[[], object], left: int, done: bool) -> None:
    """Do some work that is killed as by `killed`, and repeat it."""
    with killed(left, done):
        work()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "DEAD_AFTER_S", 0.1)  # the process lives on, so its lock looks alive
        work()
