"""Exceptions of unettrain. Each states the problem, the value seen, the values allowed, and what to do."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import unetprep.errors

A = ParamSpec("A")
R = TypeVar("R")


class UnettrainError(unetprep.errors.ReportedError):
    """Root of every error that unettrain raises on purpose."""


class InvalidInput(UnettrainError):
    """A file, array, store or parameter that cannot be used."""


class Conflict(UnettrainError):
    """An output, a parameter or a running command is in the way of what was asked for."""


class Failure(UnettrainError):
    """Valid work that failed: a training that diverged, a write."""


REPORTED_ELSEWHERE = "reported by another process of this training"  # a note of exceptions


def mark_reported_elsewhere(error: BaseException) -> None:
    """Mark an exception that another process of the training has reported."""
    error.add_note(REPORTED_ELSEWHERE)


def is_reported_elsewhere(error: BaseException) -> bool:
    """Whether another process of the training has reported an exception."""
    return REPORTED_ELSEWHERE in getattr(error, "__notes__", ())


OWN = {
    unetprep.errors.InvalidInput: InvalidInput,
    unetprep.errors.Conflict: Conflict,
    unetprep.errors.Failure: Failure,
}


def raises_own_errors(function: Callable[A, R]) -> Callable[A, R]:
    """Decorator of public functions: errors of unetprep, whose readers they use, become those of unettrain."""

    @wraps(function)
    def wrapped(*args: A.args, **kwargs: A.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except tuple(OWN) as error:
            own = next(ours for theirs, ours in OWN.items() if isinstance(error, theirs))
            translated = own(str(error))
            for note in getattr(error, "__notes__", ()):
                translated.add_note(note)
            raise translated from error

    return wrapped
