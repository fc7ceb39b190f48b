"""Run directories: their files, their lock, and checks whether a training may continue in one."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import unetprep.errors
from unetprep.credentials import MASK, mask_credentials
from unetprep.storage.atomic import naming, replacing, sync_path
from unetprep.storage.local import LocalStorage
from unetprep.storage.lock import Lock, locked
from unetprep.storage.output import check_folder
from unetprep.storage.regular_files import read_regular
from unetprep.storage.signals import deferred_signals
from unettrain import __version__
from unettrain.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import Conflict, InvalidInput
from unettrain.training_log import parse_record

FORMAT_VERSION = 1
SOFTWARE = "unettrain"
FILES = ("last.pt", "best.pt", "scores.json", "report.html", "log.jsonl", "config.json")  # in order of removal
FOLDERS = {"examples": "step-*.png", "tensorboard": "events.out.tfevents.*"}  # and the names of the files in them
OLD_TEMPORARY = re.compile(r"\.(last|best)\.pt\.\d+")  # as version 0.1.0 named them
ANEW = "another directory, or --overwrite to start from the beginning"


@dataclass(frozen=True)
class RunDir:
    """Paths of the files of a run. `fingerprint` identifies its configuration and data; "" if not known."""

    path: Path
    fingerprint: str = ""
    lock: Lock | None = None

    @property
    def config(self) -> Path:
        """Configuration, data and software version."""
        return self.path / "config.json"

    @property
    def log(self) -> Path:
        """The log: one JSON object for each logged step."""
        return self.path / "log.jsonl"

    @property
    def last(self) -> Path:
        """The last saved state, to continue from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The network with the lowest validation loss; the last one without a validation split."""
        return self.path / "best.pt"

    def save(self, path: Path, checkpoint: Checkpoint) -> None:
        """Save a checkpoint. Raises Conflict if another process has taken over the directory."""
        if self.lock:
            with _own_conflict():
                self.lock.check()
        save_checkpoint(path, checkpoint)

    def append_log(self, record: Mapping[str, Any]) -> None:
        """Add a line to the log."""
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


def read_record(run_dir: str | Path) -> dict[str, Any]:
    """The config.json of a run. Raises InvalidInput, naming the command that helps, if it is missing or damaged."""
    config, command = RunDir(Path(run_dir)).config, f"unettrain fit STORE --run {run_dir}"
    if not config.is_file():
        raise InvalidInput(f"there is no run at {run_dir}: it has no config.json", hint=command)
    record = _json_object(config)
    if record is None:
        raise InvalidInput(f"{config} cannot be read: it is no JSON object", hint=f"{command} --overwrite")
    if not _is_record(record):
        raise InvalidInput(
            f"{config} is not the record of a run: {_missing(record)}", allowed="a file that unettrain fit wrote"
        )
    return record


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
    record = _record(store, data, network, config)
    run = RunDir(Path(path), record["fingerprint"], lock)
    if not run.config.exists():
        _refuse_files_of_others(run, overwrite)
    elif not overwrite:
        _refuse_another(run, record, config)
    if overwrite:
        _remove_files(run)
    run.path.mkdir(parents=True, exist_ok=True)
    with replacing(run.config) as file:
        file.write((json.dumps(record, indent=2) + "\n").encode())
    return run


def load_last(run: RunDir, config: FitConfig, network: UNetConfig) -> Checkpoint | None:
    """The checkpoint to continue from; None at the beginning of a run.

    Raises Conflict if last.pt belongs to another run than config.json, or if a run has best.pt but no last.pt.
    """
    if run.last.exists():
        found = load_checkpoint(run.last)
        _refuse_other_checkpoint(run.last, found, run.fingerprint, config, network)
        return found
    if run.best.exists() and load_checkpoint(run.best).step > config.validate_every:
        raise Conflict(
            f"{run.path} holds a best.pt without last.pt: the training would start from the beginning and replace it",
            hint=f"restore last.pt from a backup, or move best.pt away, or {ANEW}",
        )
    return None


def find_checkpoint(path: str | Path) -> Checkpoint:
    """The checkpoint at a path. Of a run directory, its best network, or its last before the first validation."""
    return load_best(path) if Path(path).is_dir() else load_checkpoint(path)


def load_best(run_dir: str | Path) -> Checkpoint:
    """The best network of a run; the last one if none was validated yet.

    Raises InvalidInput if there is none, Conflict if it belongs to another run than config.json.
    """
    run = RunDir(Path(run_dir))
    path = next((path for path in (run.best, run.last) if path.exists()), None)
    if path is None:
        raise InvalidInput(
            f"{run_dir} holds no network", allowed="a run, or a .pt file", hint=f"unettrain fit STORE --run {run_dir}"
        )
    found = load_checkpoint(path)
    record = (_json_object(run.config) if run.config.is_file() else None) or {}
    if found.run and record.get("fingerprint") and found.run != record["fingerprint"]:
        raise Conflict(
            f"{path} is of another run than {run.config}",
            hint=f"give {path} itself to predict with it anyway, or restore the files of one run",
        )
    return found


def _record(store: str | Path, data: Mapping[str, str], network: UNetConfig, config: FitConfig) -> dict[str, Any]:
    record = {
        "format_version": FORMAT_VERSION,
        "software": f"{SOFTWARE} {__version__}",
        "store": mask_credentials(str(store)),
        "data": dict(data),
        "network": asdict(network),
        "fit": asdict(config),
    }
    canonical = json.dumps([record["data"], record["network"], config.decisive()], sort_keys=True)
    return record | {"fingerprint": hashlib.sha256(canonical.encode()).hexdigest()}


def recorded_store(record: Mapping[str, Any], run_dir: str | Path) -> str:
    """The store of a run. Raises InvalidInput if its URL contained a password, which is not recorded."""
    store = str(record["store"])
    if MASK in store:
        raise InvalidInput(
            f"the store of {run_dir} was opened with a password in its URL, which is not recorded: {store}",
            hint="give the store again: --store URL",
        )
    return store


def _refuse_files_of_others(run: RunDir, overwrite: bool) -> None:
    """Raise Conflict if a directory without config.json holds files that the run would replace or change."""
    found = next((path for path in (run.last, run.best, run.log) if os.path.lexists(path)), None)
    if found and not overwrite:
        raise Conflict(f"{run.path} holds a {found.name} without its config.json", hint=ANEW)
    if found and not _holds_files_of_a_run(run):
        raise Conflict(f"{found} was not written by unettrain, and is not removed", hint="another directory")


def _holds_files_of_a_run(run: RunDir) -> bool:
    """Whether the log or a checkpoint shows that unettrain wrote the files of a directory."""
    if run.log.is_file():
        with run.log.open(errors="replace") as file:
            return parse_record(file.readline()) is not None
    for path in (run.last, run.best):
        try:
            load_checkpoint(path)
        except InvalidInput:
            continue
        return True
    return False


def _remove_files(run: RunDir) -> None:
    """Remove the files of a run. Raises Conflict if there is a config.json that unettrain did not write."""
    if run.config.exists():
        record = _json_object(run.config)
        if not (_holds_files_of_a_run(run) if record is None else _is_record(record)):
            raise Conflict(f"{run.config} was not written by unettrain, and is not removed", hint="another directory")
    for name in FILES:
        (run.path / name).unlink(missing_ok=True)
        if name == "best.pt":
            sync_path(run.path)
            _remove_folders(run)


def _remove_folders(run: RunDir) -> None:
    """Remove the folders of pictures and events of a run, but for files of others in them."""
    for name, pattern in FOLDERS.items():
        for path in (run.path / name).glob(pattern):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # there is none, or it holds other files
            (run.path / name).rmdir()


def _refuse_another(run: RunDir, record: dict[str, Any], config: FitConfig) -> None:
    """Raise Conflict if the existing run would give another result than `record`."""
    there = _json_object(run.config)
    if there is None:
        raise Conflict(f"{run.config} cannot be read: it is no JSON object", hint=ANEW)
    if not _is_record(there):
        raise Conflict(f"{run.config} is not the record of a run: {_missing(there)}", hint="another directory")
    free = asdict(config).keys() - config.decisive().keys()
    differing = [
        f"  {name.replace('_', '-')}: {there[group].get(name)} there, {record[group].get(name)} now"
        for group in ("fit", "network", "data")
        for name in record[group] | there[group]
        if name not in free and there[group].get(name) != record[group].get(name)
    ]
    if differing:
        raise Conflict("\n".join([f"{run.path} holds another run:", *dict.fromkeys(differing)]), hint=ANEW)


def _refuse_other_checkpoint(
    path: Path, found: Checkpoint, fingerprint: str, config: FitConfig, network: UNetConfig
) -> None:
    """Raise Conflict, naming what differs, if a checkpoint is not of the run with this configuration."""
    pairs = {"seed": (found.seed, config.seed)}
    pairs |= {name: (getattr(found.network, name), value) for name, value in asdict(network).items()}
    differing = [
        f"  {name.replace('_', '-')}: {a} in it, {b} in config.json" for name, (a, b) in pairs.items() if a != b
    ]
    if not differing and found.run not in ("", fingerprint):
        differing = ["  other options or other data: the fingerprint recorded in it is not that of config.json"]
    if differing:
        raise Conflict(
            "\n".join([f"{path} is of another run than the config.json beside it:", *differing]),
            hint=f"restore last.pt of this run from a backup, or {ANEW}",
        )


def _json_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if the file holds something else."""
    try:
        found = json.loads(read_regular(path))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_record(record: Mapping[str, Any]) -> bool:
    return not _missing(record)


def _missing(record: Mapping[str, Any]) -> str:
    """What is missing from a document for it to be the record of a run; "" if nothing."""
    if record.get("format_version") != FORMAT_VERSION:
        return f"its format_version is not {FORMAT_VERSION}"
    if not str(record.get("software")).startswith(SOFTWARE) or not isinstance(record.get("store"), str):
        return "it does not say what trained, and on which store"
    lacking = [group for group in ("data", "network", "fit") if not isinstance(record.get(group), dict)]
    return f"it has no {', '.join(lacking)}" if lacking else ""
