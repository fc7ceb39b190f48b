"""Checkpoints of a run: the one to continue its training from, and its best network."""

import logging
from dataclasses import asdict, replace
from pathlib import Path

from unettrain.checkpoint import Checkpoint, DamagedCheckpoint, load_checkpoint
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import Conflict, InvalidInput
from unettrain.run_dir import RunDir
from unettrain.run_record import ANEW, json_object

log = logging.getLogger(__name__)


def load_last(run: RunDir, config: FitConfig, network: UNetConfig) -> Checkpoint | None:
    """The checkpoint to continue from, the newest that is not damaged; None at the beginning of a run.

    Raises Conflict if it belongs to another run than config.json, or if a run has best.pt and no state to continue
    from; InvalidInput if all states are damaged.
    """

    def check(path: Path, found: Checkpoint) -> None:
        _refuse_other_checkpoint(path, found, run.fingerprint, config, network)

    found = run.checkpoints.load_newest(check)
    if found is None and run.best.exists() and load_checkpoint(run.best).step > config.validate_every:
        raise Conflict(
            f"{run.path} holds a best.pt without last.pt: the training would start from the beginning and replace it",
            hint=f"restore last.pt from a backup, or move best.pt away, or {ANEW}",
        )
    return _without_lost_best(run, found) if found else None


def _without_lost_best(run: RunDir, last: Checkpoint) -> Checkpoint:
    """The state to continue from, without the scores of a best network whose file is damaged or missing.

    So the next validation writes best.pt, whatever it finds.
    """
    if last.best_loss is None:
        return last
    try:
        if run.best.exists():
            load_checkpoint(run.best)
            return last
        problem = f"{run.best} is missing"
    except DamagedCheckpoint as error:
        problem = error.problem
    log.warning(
        "warning: %s; it is replaced by the network of the next validation, or of the last step of a complete run",
        problem,
    )
    return replace(last, best_loss=None, best_iou=None, best_ap=None, num_worse=0)


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
    record = (json_object(run.config) if run.config.is_file() else None) or {}
    if found.run and record.get("fingerprint") and found.run != record["fingerprint"]:
        raise Conflict(
            f"{path} is of another run than {run.config}",
            hint=f"give {path} itself to predict with it anyway, or restore the files of one run",
        )
    return found


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


def refuse_own_run(initial: str | Path, run_dir: str | Path) -> None:
    """Raise InvalidInput if the initial weights are those of the run that is about to be overwritten."""
    path, run = Path(initial).resolve(), RunDir(Path(run_dir).resolve())
    if path in (run.path, run.best, run.last, *run.checkpoints.earlier()):
        raise InvalidInput(
            f"{initial} is of the run in {run_dir}, which would be overwritten, and the training could not be resumed",
            allowed="another directory for the new run",
        )
