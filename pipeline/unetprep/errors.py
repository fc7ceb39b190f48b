"""Exceptions of unetprep. Each states the problem, the value seen, the values allowed, and what to do."""

from unetprep.credentials import mask_credentials


class UnetprepError(Exception):
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


class InvalidInput(UnetprepError):
    """A file, array, store or parameter that cannot be used."""


class Conflict(UnetprepError):
    """What is to be written stands there already, made in another way."""


class Failure(UnetprepError):
    """Valid input that could not be carried through: a download, a write, a worker."""


class Stopped(KeyboardInterrupt):
    """The process was asked to end, as by a cluster when the time of a job is up."""
