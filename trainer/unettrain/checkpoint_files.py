"""Checkpoints of a run: last.pt, the newest state of its training, and those before it in the folder checkpoints.

    RUN/last.pt                         the newest
    RUN/checkpoints/step-00001200.pt    the one before it, and so on: `keep` of them with last.pt

A new state is written beside last.pt and takes its name once it is on disk, after the one before it got a second name.
So at every moment each name is that of a complete file, and a kill or a full disk costs only the state being written.
"""

import logging
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from unetprep.storage.atomic import sync_path
from unetprep.storage.signals import deferred_signals
from unettrain.checkpoint import Checkpoint, DamagedCheckpoint, load_checkpoint, save_checkpoint
from unettrain.config import FitConfig
from unettrain.errors import InvalidInput

LAST, FOLDER = "last.pt", "checkpoints"
EARLIER = re.compile(r"step-(\d{8,})\.pt")

log = logging.getLogger(__name__)


class CheckpointFiles:
    """The newest `keep` states of the run in a folder. The process must hold the lock of the run to save."""

    def __init__(self, run_dir: Path, keep: int = 1) -> None:
        self.last, self.folder, self.keep = run_dir / LAST, run_dir / FOLDER, keep
        self._last_step: int | None = None  # of last.pt, once it was read or written

    def save(self, checkpoint: Checkpoint) -> None:
        """Save the newest state. The one before stays, and the oldest are removed once the new one is on disk."""
        with deferred_signals():
            if self.keep > 1 and self._last_step not in (None, checkpoint.step):
                self._keep_last()
            save_checkpoint(self.last, checkpoint)
            self._last_step = checkpoint.step
            self._remove_older(checkpoint.step)

    def load_newest(self, check: Callable[[Path, Checkpoint], None]) -> Checkpoint | None:
        """The newest state that can be read; None without any. `check` may raise for a state that must not be used.

        A damaged file is named in a warning, and the one before it is taken. Raises InvalidInput, naming all files, if
        none can be read.
        """
        damaged: list[DamagedCheckpoint] = []
        existing = [path for path in (self.last, *self.earlier()) if os.path.lexists(path)]
        for path in existing:
            try:
                found = load_checkpoint(path)
            except DamagedCheckpoint as error:
                damaged.append(error)
                continue
            check(path, found)
            self._last_step = found.step if path == self.last else None
            if path != self.last:
                _warn(damaged or [f"{self.last} is missing"], path, found.step)
            return found
        if len(damaged) == 1:
            raise damaged[0]
        if damaged:
            raise InvalidInput(
                "\n  ".join(["no checkpoint of the run can be read:", *(error.problem for error in damaged)]),
                hint="restore one from a backup, or start the run again with --overwrite",
            )
        return None

    def earlier(self) -> list[Path]:
        """Files of the states before last.pt, the newest first."""
        return [self._file(step) for step in self._earlier_steps()]

    def remove_earlier(self) -> None:
        """Remove the states before last.pt, and their folder unless it holds something else."""
        for path in self.earlier():
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _file(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.pt"

    def _earlier_steps(self) -> list[int]:
        return sorted(
            (int(match[1]) for name in _names(self.folder) if (match := EARLIER.fullmatch(name))), reverse=True
        )

    def _keep_last(self) -> None:
        """Give last.pt a second name, that of its step; where there are no hard links, the name instead of its own."""
        assert self._last_step is not None
        kept = self._file(self._last_step)
        if not self.last.exists() or (kept.exists() and kept.samefile(self.last)):
            return
        self.folder.mkdir(exist_ok=True)
        kept.unlink(missing_ok=True)  # of a training that went on from an earlier step
        try:
            os.link(self.last, kept)
        except OSError:
            os.replace(self.last, kept)
        sync_path(self.folder)

    def _remove_older(self, step: int) -> None:
        """Remove all but the newest states before `step`, and those after it, from which the run did not continue."""
        before = [earlier for earlier in self._earlier_steps() if earlier < step]
        for other in set(self._earlier_steps()) - set(before[: self.keep - 1]):
            self._file(other).unlink(missing_ok=True)


class SaveSchedule:
    """Decides at which steps the state is saved between validations: every so many steps, or minutes."""

    def __init__(self, config: FitConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._every, self._seconds = config.checkpoint_every, 60 * config.checkpoint_minutes
        self._clock, self._saved = clock, clock()

    def is_due(self, step: int) -> bool:
        """Whether the state after this step is to be saved."""
        by_steps = self._every > 0 and step % self._every == 0
        return by_steps or (self._seconds > 0 and self._clock() - self._saved >= self._seconds)

    def saved(self) -> None:
        """Count the minutes from now on."""
        self._saved = self._clock()


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _warn(refused: list[DamagedCheckpoint] | list[str], taken: Path, step: int) -> None:
    for problem in refused:
        said = problem if isinstance(problem, str) else problem.problem
        log.warning("warning: %s; the training continues from %s, step %d", said, taken, step)
