"""The folder in which a prediction keeps its scores until it is complete, so that a killed one continues.

It lies beside the output, as .unettrain-predict-NAME, and holds files of scores (`planes`), a record, and a lock. The
record says what is computed, by a fingerprint, and how far it has come. It is replaced after the scores that it counts
are on disk, so whatever a kill leaves is continued from a point that was true. A folder of another fingerprint is
emptied.
"""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from unetprep.storage.atomic import replacing
from unettrain.errors import Conflict, Failure
from unettrain.prediction.planes import FilePlanes, Shape

PREFIX = ".unettrain-predict-"
RECORD, LOCK = "record.json", "lock"
SECONDS_BETWEEN_RECORDS = 5.0


class Position(NamedTuple):
    """The version of the image and the unit of its work at which a prediction continues."""

    turn: int = 0
    unit: int = 0


class WorkFolder:
    """The folder of a prediction, locked until it is closed.

    Raises Conflict if another process predicts the same output. It is removed when a `with` block ends, also by an
    error; kept if the process is stopped or killed.
    """

    def __init__(self, out: Path, fingerprint: str) -> None:
        self.path = folder_of(out)
        self._fingerprint, self._last = fingerprint, time.monotonic()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Conflict(f"another process predicts {out}", hint="wait for it, or name another --out") from None
        except OSError:
            pass  # a file system without locks
        self.position = self._read_record()

    def __enter__(self) -> "WorkFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def check_space(self, num_bytes: int) -> None:
        """Raise Failure if the disk has no room for files of so many bytes in all, with those that are there."""
        there = sum(path.stat().st_blocks * 512 for path in self.path.iterdir())
        free = shutil.disk_usage(self.path).free + there
        if num_bytes > free:
            raise Failure(
                f"scores take up to {num_bytes / 2**30:.1f} GiB in {self.path} until the prediction is complete",
                allowed=f"{free / 2**30:.1f} GiB, which is free",
                hint="name an --out on a larger disk",
            )

    def planes(self, name: str, shape: Shape) -> FilePlanes:
        """The planes in a file of this folder, which is made if it does not exist."""
        return FilePlanes(self.path / name, shape)

    def reached(self, position: Position, planes: FilePlanes) -> None:
        """Record that all work before a position is done and in `planes`; at most every few seconds."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_RECORDS:
            self.record(position, planes)

    def record(self, position: Position, planes: FilePlanes) -> None:
        """Record that all work before a position is done and in `planes`, once they are on disk."""
        planes.sync()
        record = {"fingerprint": self._fingerprint, **position._asdict()}
        with replacing(self.path / RECORD) as file:
            file.write(json.dumps(record).encode())
        self._last = time.monotonic()

    def keep_only(self, *names: str) -> None:
        """Remove all planes but these."""
        for path in self.path.iterdir():
            if path.name not in (RECORD, LOCK, *names):
                path.unlink()

    def _read_record(self) -> Position:
        """The position in the record; the beginning, and an empty folder, if it is of another prediction."""
        try:
            record = json.loads((self.path / RECORD).read_bytes())
            if record["fingerprint"] == self._fingerprint:
                return Position(int(record["turn"]), int(record["unit"]))
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            pass
        (self.path / RECORD).unlink(missing_ok=True)  # first, so that no kill leaves it beside other scores
        self.keep_only()
        return Position()


def folder_of(out: Path) -> Path:
    """The folder in which a prediction into `out` keeps its scores."""
    return out.parent / f"{PREFIX}{out.name}"
