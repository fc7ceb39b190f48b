"""Exceptions of unetprep. Each states the problem, the value seen, the values allowed, and what to do."""

from unetprep.credentials import mask_credentials


class ReportedError(Exception):
    """Base of the errors of unetprep and unettrain: their message, for people.

    `problem` says what is wrong and what was seen; `allowed` what would have been right; `hint` what to do.
    Passwords and signatures in URLs are masked.
    """

    def __init__(self, problem: str, *, allowed: str = "", hint: str = "") -> None:
        lines = [problem]
        if allowed:
            lines.append(f"  allowed: {allowed}")
        if hint:
            lines.append(f"  to do:   {hint}")
        super().__init__(mask_credentials("\n".join(lines)))


class UnetprepError(ReportedError):
    """Root of every error that unetprep raises on purpose."""


class InvalidInput(UnetprepError):
    """A file, array, store or parameter that cannot be used."""


class Conflict(UnetprepError):
    """An output, a parameter or a running command is in the way of what was asked for."""


class Failure(UnetprepError):
    """Valid work that failed: a download, a write, a worker."""


class Stopped(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), for example by a cluster at the walltime of a job."""
