"""Exceptions of unettrain. Each states the problem, the value seen, the values allowed, and what to do."""

from unetprep.credentials import mask_credentials


class UnettrainError(Exception):
    """Root of every error that this package raises on purpose.

    `problem` says what is wrong and what was seen; `allowed` what would have been right; `hint` what to do now.
    Passwords and signatures in URLs are masked.
    """

    def __init__(self, problem: str, *, allowed: str = "", hint: str = "") -> None:
        lines = [problem]
        if allowed:
            lines.append(f"  allowed: {allowed}")
        if hint:
            lines.append(f"  to do:   {hint}")
        super().__init__(mask_credentials("\n".join(lines)))


class InvalidInput(UnettrainError):
    """A file, array, store or parameter that cannot be used."""


class Conflict(UnettrainError):
    """What is to be written stands there already, made in another way."""


class Failure(UnettrainError):
    """Valid input that could not be carried through: a training that diverged, a write."""
