"""Exceptions of unetprep. Each states the problem, the value seen, the values allowed, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from unetprep.credentials import mask_credentials

MOST_REPORTED = 10


class ReportedError(Exception):
    """Base of the errors of unetprep and unettrain: their message, for people.

    `problem` says what is wrong and what was seen; `allowed` what would have been right; `hint` what to do.
    Passwords and signatures in URLs are masked.
    """

    def __init__(self, problem: str, *, allowed: str = "", hint: str = "") -> None:
        problem, allowed, hint = map(mask_credentials, (problem, allowed, hint))
        self.problem, self.allowed, self.hint = problem, allowed, hint
        lines = [problem]
        if allowed:
            lines.append(f"  allowed: {allowed}")
        if hint:
            lines.append(f"  to do:   {hint}")
        super().__init__("\n".join(lines))


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


class Faults:
    """Inputs that cannot be used, which are reported together. Of many, only the first messages are kept."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Take the InvalidInput that a block of code raises."""
        try:
            yield
        except InvalidInput as error:
            self.add(str(error))

    def add(self, message: str) -> None:
        """Take the message of an InvalidInput."""
        self.count += 1
        if len(self._first) < MOST_REPORTED:
            self._first.append(message)

    def refuse(self) -> None:
        """Raise InvalidInput with what was taken, if there was any."""
        if self.count == 1:
            raise InvalidInput(self._first[0])
        if self.count:
            more = [f"and {self.count - len(self._first)} more"] if self.count > len(self._first) else []
            raise InvalidInput("\n".join([f"{self.count} inputs cannot be used:", *self._first, *more]))
