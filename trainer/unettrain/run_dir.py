"""Run directories: their files, their lock, and checks whether a training may continue in one."""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import unetprep.errors
from unetprep.storage.atomic import naming, replacing, sync_path
from unetprep.storage.local import LocalStorage
from unetprep.storage.lock import Lock, locked
from unetprep.storage.output import check_folder
from unetprep.storage.regular_files import read_regular
from unetprep.storage.signals import deferred_signals
from unettrain import run_record
from unettrain.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unettrain.checkpoint_files import CheckpointFiles
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import Conflict, InvalidInput
from unettrain.run_record import ANEW, is_record, json_object, make_record, refuse_another
from unettrain.training_log import parse_record

FILES = ("last.pt", "best.pt", "scores.json", "report.html", "log.jsonl", "config.json")  # in order of removal
FOLDERS = {
    "examples": f"step-{'[0-9]' * 8}*.png",
    "tensorboard": "events.out.tfevents.*",
}  # and the names of the files in them
OLD_TEMPORARY = re.compile(r"\.(last|best)\.pt\.\d+")  # as version 0.1.0 named them

log = logging.getLogger(__name__)


class RunDir:
    """The files of a run. `fingerprint` identifies its configuration and data; "" if not known.

    `keep` is the number of states to continue from that are kept.
    """

    def __init__(self, path: Path, fingerprint: str = "", lock: Lock | None = None, keep: int = 1) -> None:
        self.path, self.fingerprint, self._lock = path, fingerprint, lock
        self.config = path / run_record.NAME  # configuration, data and software version
        self.log = path / "log.jsonl"  # one JSON object for each logged step
        self.best = path / "best.pt"  # the best network of the validations; the last one without a validation split
        self.checkpoints = CheckpointFiles(path, keep)
        self.last = self.checkpoints.last  # the newest state, to continue from

    def save_last(self, checkpoint: Checkpoint) -> None:
        """Save the state to continue from. Raises Conflict if another process has taken over the directory."""
        self._check_lock()
        if self.log.exists():
            sync_path(self.log)  # the run continues after the lines up to this state
        self.checkpoints.save(checkpoint)

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Save the best network. Raises Conflict if another process has taken over the directory."""
        self._check_lock()
        save_checkpoint(self.best, checkpoint)

    def _check_lock(self) -> None:
        if self._lock:
            with _own_conflict():
                self._lock.check()

    def append_log(self, record: Mapping[str, Any]) -> None:
        """Add a line to the log. Raises Conflict if another process has taken over the directory."""
        self._check_lock()
        with deferred_signals(), naming(self.log), self.log.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def cut_log(self, step: int) -> None:
        """Remove log lines after a step, which a run that continues from there will write again."""
        content = read_regular(self.log).decode(errors="replace") if self.log.exists() else ""
        kept = "".join(
            f"{line}\n" for line in content.splitlines() if (record := parse_record(line)) and record["step"] <= step
        )
        if kept != content:
            with replacing(self.log) as file:
                file.write(kept.encode())


@contextmanager
def locked_run(path: str | Path) -> Iterator[Lock]:
    """Hold the lock of a run directory, which is created if needed.

    Raises Conflict if another process trains in it, InvalidInput for a path that cannot be a directory of this machine.
    """
    try:
        folder = check_folder(path, "--run")
    except unetprep.errors.InvalidInput as error:
        raise InvalidInput(str(error)) from None
    hint = "wait for it, or choose another directory"
    with _own_conflict(), locked(LocalStorage(str(folder)), str(folder), hint, is_flat=True) as lock:
        for leftover in folder.iterdir():
            if OLD_TEMPORARY.fullmatch(leftover.name):
                leftover.unlink()
        yield lock


@contextmanager
def _own_conflict() -> Iterator[None]:
    try:
        yield
    except unetprep.errors.Conflict as error:
        raise Conflict(str(error)) from None


def open_run(
    path: str | Path,
    store: str | Path,
    data: Mapping[str, str],
    network: UNetConfig,
    config: FitConfig,
    overwrite: bool,
    lock: Lock | None = None,
) -> RunDir:
    """Create a run directory, or check that the existing one is the same run, and record the configuration.

    `data`: fingerprints of the arrays of the training, and of their order. Raises Conflict, naming the differences, if
    the directory holds another run. With `overwrite` its files are removed, checkpoints first and config.json last, so
    that no interruption leaves a checkpoint beside the configuration of another run.
    """
    record = make_record(store, data, network, config)
    run = RunDir(Path(path), record["fingerprint"], lock, config.keep)
    if not run.config.exists():
        _refuse_files_of_others(run, overwrite)
    elif not overwrite:
        refuse_another(run.path, record, config)
    if overwrite:
        _remove_files(run)
    run.path.mkdir(parents=True, exist_ok=True)
    with replacing(run.config) as file:
        file.write((json.dumps(record, indent=2) + "\n").encode())
    return run


def _refuse_files_of_others(run: RunDir, overwrite: bool) -> None:
    """Raise Conflict if a directory without config.json holds files that the run would replace or change."""
    ours = (run.last, *run.checkpoints.earlier(), run.best, run.log)
    found = next((path for path in ours if os.path.lexists(path)), None)
    if found and not overwrite:
        raise Conflict(f"{run.path} holds a {found.name} without its config.json", hint=ANEW)
    if found and not _holds_files_of_a_run(run):
        raise Conflict(f"{found} was not written by unettrain, and is not removed", hint="another directory")


def _holds_files_of_a_run(run: RunDir) -> bool:
    """Whether the log or a checkpoint shows that unettrain wrote the files of a directory."""
    if run.log.is_file():
        with run.log.open(errors="replace") as file:
            return parse_record(file.readline()) is not None
    for path in (run.last, *run.checkpoints.earlier(), run.best):
        try:
            load_checkpoint(path)
        except InvalidInput:
            continue
        return True
    return False


def _remove_files(run: RunDir) -> None:
    """Remove the files of a run. Raises Conflict if there is a config.json that unettrain did not write."""
    if run.config.exists():
        record = json_object(run.config)
        if not (_holds_files_of_a_run(run) if record is None else is_record(record)):
            raise Conflict(f"{run.config} was not written by unettrain, and is not removed", hint="another directory")
    run.checkpoints.remove_earlier()
    for name in FILES:
        (run.path / name).unlink(missing_ok=True)
        if name == "best.pt":
            sync_path(run.path)
            _remove_folders(run)


def _remove_folders(run: RunDir) -> None:
    """Remove the folders of pictures and events of a run, but for files of others in them and behind links."""
    for name, pattern in FOLDERS.items():
        if (run.path / name).is_symlink():
            continue
        for path in (run.path / name).glob(pattern):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # there is none, or it holds other files
            (run.path / name).rmdir()
