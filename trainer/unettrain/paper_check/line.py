"""Lines of the comparison: what a source says, what this code does, and whether they agree."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

PASS, DIFFERS, FAIL = "PASS", "DIFFERS", "FAIL"


@dataclass(frozen=True)
class Line:
    """One statement of a source, and what was found by running this code.

    `status`: PASS; DIFFERS, on purpose, for the stated `reason`; or FAIL.
    """

    name: str
    source: str
    says: str
    found: str
    status: str
    reason: str = ""

    def as_text(self) -> str:
        """One line, and a second one with the reason of a difference."""
        head = f"{self.status:8}{self.name} ({self.source}): {self.says}; here: {self.found}"
        return f"{head}\n        {self.reason}" if self.reason else head


@dataclass(frozen=True)
class PaperCheck:
    """All lines of the comparison."""

    lines: tuple[Line, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the lines that fail."""
        return tuple(line.name for line in self.lines if line.status == FAIL)

    def as_dict(self) -> dict[str, Any]:
        """The lines and their counts as plain values, for JSON."""
        return {"lines": [asdict(line) for line in self.lines], "counts": self._counts(), "failed": list(self.failed)}

    def as_text(self) -> str:
        """One line for each statement, then the counts."""
        counts = ", ".join(f"{count} {status}" for status, count in self._counts().items())
        return "\n".join([*(line.as_text() for line in self.lines), f"paper-check: {counts}"])

    def _counts(self) -> dict[str, int]:
        return {status: sum(line.status == status for line in self.lines) for status in (PASS, DIFFERS, FAIL)}


def compared(name: str, source: str, says: str, found: object, holds: bool, reason: str = "") -> Line:
    """A line that passes if it `holds`; with a `reason` it is a difference that is on purpose, as long as it holds."""
    status = FAIL if not holds else DIFFERS if reason else PASS
    return Line(name, source, says, str(found), status, reason if status == DIFFERS else "")


def listed(values: Sequence[object]) -> str:
    """Values as text: "568, 280, 136"."""
    return ", ".join(map(str, values))
