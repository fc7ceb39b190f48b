"""The directory of a run: config.json, log.jsonl, last.pt, best.pt; and whether a run may go on in it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from unettrain import __version__
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import Conflict, InvalidInput

FORMAT_VERSION = 1
FILES = ("config.json", "log.jsonl", "last.pt", "best.pt", "scores.json", "report.html")


@dataclass(frozen=True)
class RunDir:
    """Where the files of a run lie."""

    path: Path

    @property
    def config(self) -> Path:
        """What is trained, on what, by which version."""
        return self.path / "config.json"

    @property
    def log(self) -> Path:
        """One JSON object a logged step."""
        return self.path / "log.jsonl"

    @property
    def last(self) -> Path:
        """The run as it stood when it was last saved."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The network of the lowest validation loss; the last one where nothing is validated."""
        return self.path / "best.pt"

    def append_log(self, record: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with self.log.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def cut_log(self, step: int) -> None:
        """Forget what was logged after a step: a run that goes on from there will log it again."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("".join(f"{line}\n" for line in lines if _step_of(line) <= step))


def read_record(run_dir: str | Path) -> dict[str, Any]:
    """What stands in the config.json of a run. Raises InvalidInput, naming the command that helps, if it cannot be."""
    config, command = RunDir(Path(run_dir)).config, f"unettrain fit STORE --run {run_dir}"
    if not config.is_file():
        raise InvalidInput(f"there is no run at {run_dir}: it has no config.json", hint=command)
    try:
        record = json.loads(config.read_text())
    except json.JSONDecodeError:
        raise InvalidInput(f"{config} cannot be read: it is not JSON", hint=f"{command} --overwrite") from None
    return dict(record)


def open_run(
    path: str | Path,
    store: str | Path,
    data: Mapping[str, str],
    network: UNetConfig,
    config: FitConfig,
    overwrite: bool,
) -> RunDir:
    """Make the directory of a run, or find that the one that is there is the same run, and record the configuration.

    `data` holds the fingerprints of the arrays trained on. Raises Conflict, naming what differs, where another run
    stands; with `overwrite` its files are removed.
    """
    run = RunDir(Path(path))
    if run.path.exists() and not run.path.is_dir():
        raise InvalidInput(f"{path} is a file", allowed="a directory for the run, made if it is not there")
    record = _record(store, data, network, config)
    if overwrite:
        for name in FILES:
            (run.path / name).unlink(missing_ok=True)
    elif run.config.exists():
        _refuse_another(run, record)
    elif run.last.exists():
        raise Conflict(f"{path} holds a last.pt without its config.json", hint="another directory, or --overwrite")
    run.path.mkdir(parents=True, exist_ok=True)
    beside = run.path / ".config.json"
    beside.write_text(json.dumps(record, indent=2) + "\n")
    beside.replace(run.config)
    return run


def _record(store: str | Path, data: Mapping[str, str], network: UNetConfig, config: FitConfig) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "software": f"unettrain {__version__}",
        "store": str(store),
        "data": dict(data),
        "network": asdict(network),
        "fit": asdict(config),
    }


def _refuse_another(run: RunDir, record: dict[str, Any]) -> None:
    """Raise Conflict if the run that stands there would give another result than `record`."""
    try:
        there = json.loads(run.config.read_text())
    except json.JSONDecodeError:
        raise Conflict(f"{run.config} cannot be read", hint="another directory, or --overwrite") from None
    if not isinstance(there, dict) or there.get("format_version") != FORMAT_VERSION:
        raise Conflict(f"{run.config} is not of this version of unettrain", hint="another directory, or --overwrite")
    free = {f.name for f in fields(FitConfig) if not f.metadata["changes_result"]}
    differing = [
        f"  {name.replace('_', '-')}: {_get(there, group, name)} there, {value} now"
        for group in ("fit", "network", "data")
        for name, value in record[group].items()
        if name not in free and _get(there, group, name) != value
    ]
    if differing:
        raise Conflict(
            "\n".join([f"{run.path} holds another run:", *dict.fromkeys(differing)]),
            hint="another directory, or --overwrite to start afresh",
        )


def _get(record: dict[str, Any], group: str, name: str) -> Any:
    return record.get(group, {}).get(name)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")  # the torn last line of a run that was killed
