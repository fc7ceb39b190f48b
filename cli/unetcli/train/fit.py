"""Command `fit`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from unetcli.next_command import suggest_next
from unetcli.options import Examples, chosen, common, from_fields, result
from unetcli.param_types import Choice
from unetcli.progress import messages, progress
from unetcli.stopping import leaving_at_once
from unetprep.parameter import option_name
from unetprep.storage.output import local_output
from unettrain.config import PRESETS, SHAPE, FitConfig
from unettrain.config.presets import preset_values
from unettrain.errors import Failure, InvalidInput
from unettrain.outcome import CHECKLIST, as_text
from unettrain.ranks import launched
from unettrain.run_record import NAME, is_record, json_object

if TYPE_CHECKING:  # whatever costs time to import waits until a command runs
    from unettrain.training_loop import FitResult, Progress


@click.command(
    cls=Examples,
    short_help="Train on a store.",
    examples="unettrain fit ds.zarr\nunettrain fit ds.zarr --run runs/small --base-channels 16 --steps 2000",
)
@click.argument("store")
@click.option("--run", metavar="DIR", help="Directory of the run.  [default: runs/STORE, without its ending]")
@click.option("--overwrite", is_flag=True, help="Replace the run in this directory, if there is one.")
@click.option(
    "--fail-below",
    type=float,
    metavar="IOU",
    help="End with exit code 1 if the validation IoU of the best network is below this value, 0 to 1.",
)
@click.option(
    "--preset",
    type=Choice([*PRESETS]),
    default="standard",
    show_default=True,
    help="Values of the options below that are not given: standard, their defaults; demo, a few minutes of a"
    " CPU, as in make demo; small, for a CPU; fast, the best in minutes of a CPU, for tiles of depth 3; large, for a"
    " GPU; paper, what Ronneberger et al. 2015 say. Those that take effect are printed.",
)
@click.option(
    "--from",
    "initial",
    metavar="CHECKPOINT",
    help="Train the network of a run or .pt file further (fine-tuning). Classes and image channels may differ; the"
    " rest of its shape is taken over, whatever the preset.",
)
@from_fields(FitConfig, option_name)
@common
def fit(
    store: str,
    run: str | None,
    overwrite: bool,
    fail_below: float | None,
    preset: str,
    initial: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **values: Any,
) -> None:
    """Train a network on the tiles of STORE.

    The same command continues an interrupted run, and does nothing once the run is complete. The directory of a run is
    locked while it trains. The command says how long a long training will take, and warns at the end if the network
    predicts nothing. On several GPUs: torchrun --nproc-per-node 4 -m -- unettrain fit STORE.
    """
    if fail_below is not None and not 0 <= fail_below <= 1:
        raise InvalidInput(f"fail-below is {fail_below}", allowed="an IoU, 0 to 1")
    directory = str(local_output(run, "--run")) if run else f"runs/{Path(store.rstrip('/')).stem}"
    given = [name for name in values if _is_given(name)]
    taken = {name: values[name] for name in (*given, *(SHAPE if initial else ()))}
    from_preset = preset_values(preset, taken)
    values |= from_preset
    config = chosen(FitConfig, values | _shared_batch(directory, values, overwrite))
    is_first = launched().is_first
    quiet = quiet or not is_first
    if from_preset and not quiet:
        click.echo(f"fit: preset {preset}: {_as_options(from_preset)}", err=True)
    with leaving_at_once():
        from unettrain.training_loop import fit as train

    with messages(quiet), progress("fit", quiet) as report:
        done = train(
            store,
            directory,
            config,
            overwrite=overwrite,
            require_validation=fail_below is not None,
            initial=initial,
            given=given,
            on_progress=lambda p: report(p.step, p.steps, **_shown(p)),
            on_notice=lambda sentence: click.echo(f"fit: {sentence}", err=True),
        )
    if not is_first:
        return
    result("fit", done.as_dict(), f"{_text(done)}\n-> {directory}", as_json)
    if done.warnings:
        click.echo(as_text(done.warnings), err=True)
    if fail_below is not None:
        _check_iou(done.val_iou, fail_below)
    suggest_next("unettrain", "report", directory)


def _shown(p: "Progress") -> dict[str, float]:
    """The values beside the step, as far as they are known."""
    values = {
        "loss": p.loss,
        "val-loss": p.val_loss,
        "val-iou": p.val_iou,
        "val-ap": p.val_ap,
        "tiles/s": p.tiles_per_s,
        "waiting": p.waiting,
    }
    return {name: value for name, value in values.items() if value is not None}


def _check_iou(iou: float | None, least: float) -> None:
    """Raise Failure if the validation IoU is below `least`, or unknown."""
    if iou is None or not iou >= least:
        said = "unknown" if iou is None else f"{iou:.3f}"
        raise Failure(f"the validation IoU is {said}", allowed=f"at least {least} (--fail-below)", hint=CHECKLIST)


def _as_options(values: Mapping[str, Any]) -> str:
    """The values as they would be given on the command line."""
    return " ".join(f"--{option_name(name)} {value}" for name, value in values.items())


def _shared_batch(run_dir: str, values: dict[str, Any], overwrite: bool) -> dict[str, int]:
    """The batch of several processes where none is given: that of the run, or one tile for each part and process."""
    least = launched().size * int(values["accumulate"])
    if launched().size == 1 or _is_given("batch_size") or values["batch_size"] % least == 0:
        return {}
    there = Path(run_dir) / NAME
    recorded = (json_object(there) if there.is_file() and not overwrite else None) or {}
    return {"batch_size": int(recorded["fit"]["batch_size"]) if is_record(recorded) else least}


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _text(done: "FitResult") -> str:
    new, step = done.updates, done.step
    steps = f"trained {new} steps, {step} in all" if new else f"nothing to do at step {step}"
    steps += ", and ended early: no better network was found" if done.ended_early else ""
    scores = {"loss": done.best_loss, "IoU": done.val_iou, "AP": done.val_ap}
    best = ", ".join(f"{name} {value:.4g}" for name, value in scores.items() if value is not None)
    return f"fit: {steps}" + (f"; best.pt on the validation split: {best}" if best else "")
