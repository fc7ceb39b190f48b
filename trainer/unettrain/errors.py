"""Exceptions of unettrain. Each states the problem, the value seen, the values allowed, and what to do."""

from unetprep.errors import ReportedError


class UnettrainError(ReportedError):
    """Root of every error that unettrain raises on purpose."""


class InvalidInput(UnettrainError):
    """A file, array, store or parameter that cannot be used."""


class Conflict(UnettrainError):
    """An output, a parameter or a running command is in the way of what was asked for."""


class Failure(UnettrainError):
    """Valid work that failed: a training that diverged, a write."""
