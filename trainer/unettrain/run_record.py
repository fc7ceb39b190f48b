"""Record of a run, config.json: its configuration, its data and their fingerprint."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unetprep.credentials import MASK, mask_credentials
from unetprep.storage.regular_files import read_regular
from unettrain import __version__
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import Conflict, InvalidInput

NAME = "config.json"
FORMAT_VERSION = 1
SOFTWARE = "unettrain"
ANEW = "another directory, or --overwrite to start from the beginning"


def make_record(store: str | Path, data: Mapping[str, str], network: UNetConfig, config: FitConfig) -> dict[str, Any]:
    """The record of a run. Its fingerprint covers the data, the network and the options that change the result."""
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


def read_record(run_dir: str | Path) -> dict[str, Any]:
    """The config.json of a run. Raises InvalidInput, naming the command that helps, if it is missing or damaged."""
    config, command = Path(run_dir) / NAME, f"unettrain fit STORE --run {run_dir}"
    if not config.is_file():
        raise InvalidInput(f"there is no run at {run_dir}: it has no config.json", hint=command)
    record = json_object(config)
    if record is None:
        raise InvalidInput(f"{config} cannot be read: it is no JSON object", hint=f"{command} --overwrite")
    if not is_record(record):
        raise InvalidInput(
            f"{config} is not the record of a run: {_missing(record)}", allowed="a file that unettrain fit wrote"
        )
    return record


def recorded_store(record: Mapping[str, Any], run_dir: str | Path) -> str:
    """The store of a run. Raises InvalidInput if its URL contained a password, which is not recorded."""
    store = str(record["store"])
    if MASK in store:
        raise InvalidInput(
            f"the store of {run_dir} was opened with a password in its URL, which is not recorded: {store}",
            hint="give the store again: --store URL",
        )
    return store


def refuse_another(run_dir: Path, record: Mapping[str, Any], config: FitConfig) -> None:
    """Raise Conflict, naming the differences, if the run in a directory would give another result than `record`."""
    file = run_dir / NAME
    there = json_object(file)
    if there is None:
        raise Conflict(f"{file} cannot be read: it is no JSON object", hint=ANEW)
    if not is_record(there):
        raise Conflict(f"{file} is not the record of a run: {_missing(there)}", hint="another directory")
    free = asdict(config).keys() - config.decisive().keys()
    differing = [
        f"  {name.replace('_', '-')}: {there[group].get(name)} there, {record[group].get(name)} now"
        for group in ("fit", "network", "data")
        for name in record[group] | there[group]
        if name not in free and there[group].get(name) != record[group].get(name)
    ]
    if differing:
        steps_alone = all(line.startswith("  steps: ") for line in differing)
        hint = f"train its network further in another directory, --from {run_dir}, or {ANEW}" if steps_alone else ANEW
        raise Conflict("\n".join([f"{run_dir} holds another run:", *dict.fromkeys(differing)]), hint=hint)


def json_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if the file holds something else."""
    try:
        found = json.loads(read_regular(path))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_record(document: Mapping[str, Any]) -> bool:
    """Whether a document is the record of a run."""
    return not _missing(document)


def _missing(record: Mapping[str, Any]) -> str:
    """What is missing from a document for it to be the record of a run; "" if nothing."""
    if record.get("format_version") != FORMAT_VERSION:
        return f"its format_version is not {FORMAT_VERSION}"
    if not str(record.get("software")).startswith(SOFTWARE) or not isinstance(record.get("store"), str):
        return "it does not say what trained, and on which store"
    lacking = [group for group in ("data", "network", "fit") if not isinstance(record.get(group), dict)]
    return f"it has no {', '.join(lacking)}" if lacking else ""
