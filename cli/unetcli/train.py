"""Command line `unettrain`: train on a store, predict, score, report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetcli.options import Examples, ExamplesGroup, chosen, common, from_fields, result
from unetcli.progress import progress
from unetcli.stopping import leaving_at_once
from unetprep.parameter import numbers, option_name
from unetprep.storage.output import local_output
from unettrain import __version__
from unettrain.config import FitConfig
from unettrain.errors import Failure, InvalidInput
from unettrain.evaluation.params import EvaluateParams
from unettrain.outcome import CHECKLIST, as_text

if TYPE_CHECKING:  # whatever costs time to import waits until a command runs
    from unettrain.training_loop import FitResult, Progress

GROUP_EXAMPLES = """
unettrain fit ds.zarr
unettrain predict runs/ds image.tif --out prediction.tif
unettrain evaluate prediction.tif labels.tif
unettrain report runs/ds
"""


@click.group(cls=ExamplesGroup, examples=GROUP_EXAMPLES, context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="unettrain")
def main() -> None:
    """Train the U-Net of 2015 on a store of unetprep; predict without seams; evaluate; report."""


moved_store = click.option("--store", metavar="STORE", help="Path of the store if it has moved since the training.")


@main.command(
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
@from_fields(FitConfig, option_name)
@common
def fit(
    store: str,
    run: str | None,
    overwrite: bool,
    fail_below: float | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **values: Any,
) -> None:
    """Train a network on the tiles of STORE.

    The same command continues an interrupted run, and does nothing once the run is complete. The directory of a run is
    locked while it trains. The command warns at the end if the network predicts nothing.
    """
    if fail_below is not None and not 0 <= fail_below <= 1:
        raise InvalidInput(f"fail-below is {fail_below}", allowed="an IoU, 0 to 1")
    config = chosen(FitConfig, values)
    directory = str(local_output(run, "--run")) if run else f"runs/{Path(store.rstrip('/')).stem}"
    with leaving_at_once():
        from unettrain.training_loop import fit as train

    with progress("fit", quiet) as report:

        def shown(p: "Progress") -> None:
            scores = {"loss": p.loss, "val-loss": p.val_loss, "val-iou": p.val_iou}
            report(p.step, p.steps, **{name: value for name, value in scores.items() if value is not None})

        done = train(
            store,
            directory,
            config,
            overwrite=overwrite,
            require_validation=fail_below is not None,
            on_progress=shown,
        )
    result("fit", done.as_dict(), f"{_text(done)}\n-> {directory}", as_json)
    if done.warnings:
        click.echo(as_text(done.warnings), err=True)
    if fail_below is not None and not (done.val_iou is not None and done.val_iou >= fail_below):
        iou = "unknown, as this run was started by an older release" if done.val_iou is None else f"{done.val_iou:.3f}"
        raise Failure(f"the validation IoU is {iou}", allowed=f"at least {fail_below} (--fail-below)", hint=CHECKLIST)


def _text(done: "FitResult") -> str:
    new, step = done.updates, done.step
    steps = f"trained {new} steps, {step} in all" if new else f"nothing to do at step {step}"
    best = "" if done.best_loss is None else f"; best validation loss {done.best_loss:.4g}"
    return f"fit: {steps}{best}"


@main.command(
    cls=Examples,
    short_help="List the sampled augmentation of a run.",
    examples="unettrain draws runs/ds\nunettrain draws runs/ds --first 4200 --steps 10 > draws.jsonl",
)
@click.argument("run")
@click.option("--first", type=click.IntRange(0, 2**40), default=0, show_default=True, help="First step.")
@click.option("--steps", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Number of steps.")
@moved_store
@common
def draws(run: str, first: int, steps: int, store: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """List the augmentation parameters of each tile: one line of JSON for each tile, in the order of training.

    They are a function of seed, epoch and tile, so they are known for past and future steps without a record.
    TileStream.replay builds a batch from such lines.
    """
    from unettrain import sampled_draws

    found = [draw.as_dict() for draw in sampled_draws(run, range(first, first + steps), store)]
    result("draws", {"run": run, "draws": found}, "\n".join(map(json.dumps, found)), as_json)


@main.command(
    cls=Examples,
    short_help="Predict an image of any size.",
    examples="unettrain predict runs/ds image.tif --out prediction.tif\n"
    "unettrain predict runs/ds/best.pt ds.zarr/images/img-test --out prediction.zarr",
)
@click.argument("checkpoint")
@click.argument("image")
@click.option("--out", required=True, metavar="PATH", help="The prediction: .tif, .npy or .zarr.")
@click.option("--axes", default="", help="Axes of the image file, as for unetprep import.  [default: the file's]")
@click.option("--level", type=click.IntRange(0), default=0, help="Level of a pyramid.  [default: the full resolution]")
@click.option("--series", type=click.IntRange(0), help="Which image of a file with several.  [default: the only one]")
@click.option(
    "--tile", "tile_px", type=int, help="Side of a tile in pixels; does not affect the result.  [default: 572]"
)
@click.option("--device", default="auto", show_default=True, help="auto (a GPU if there is one), cpu, cuda ...")
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Threads of the network on the CPU.  [default: all cores]"
)
@click.option(
    "--intensity",
    metavar="LOW,HIGH|RULE",
    default="",
    help="Values that become 0 and 1, or a rule as for unetprep import: auto, dtype, minmax, percentile."
    "  [default: as in the training]",
)
@click.option(
    "--pixel-size",
    type=click.Choice(["check", "resample", "ignore"]),
    default="check",
    show_default=True,
    help="For an image whose pixels are larger or smaller than those of the training by more than a factor of 1.5."
    " check: refuse it; resample: predict it at the pixel size of the training, and resample the prediction back;"
    " ignore: predict it as it is.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier prediction at --out.")
@common
def predict(
    checkpoint: str,
    image: str,
    out: str,
    intensity: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **values: Any,
) -> None:
    """Predict the probability of a cell at every pixel of IMAGE, of any size, without seams.

    CHECKPOINT is a run, whose best network is used, or one of its .pt files. IMAGE is a file, or an image of a store,
    STORE/images/NAME.
    """
    from unettrain import predict_files

    with progress("predict", quiet) as report:
        done = predict_files(checkpoint, image, out, intensity=numbers(intensity), on_progress=report, **values)
    for warning in done.warnings:
        click.echo(f"Warning: {warning}", err=True)
    sides, (low, high) = " x ".join(map(str, done.shape)), done.intensity
    text = f"predict: {sides} probabilities, with intensity {low:g},{high:g}\n-> {out}"
    result("predict", done.as_dict() | {"out": out}, text, as_json)


@main.command(
    cls=Examples,
    short_help="Score a prediction.",
    examples="unettrain evaluate prediction.tif labels.tif\n"
    "unettrain evaluate prediction.tif ds.zarr/images/img-test --json\n"
    "unettrain evaluate cells.png labels.png --prediction instances",
)
@click.argument("prediction_file", metavar="PREDICTION")
@click.argument("labels")
@from_fields(EvaluateParams, option_name)
@common
def evaluate(prediction_file: str, labels: str, as_json: bool, quiet: bool, verbose: bool, **values: Any) -> None:
    """Score PREDICTION against LABELS: IoU of the foreground, and AP of the cells.

    PREDICTION holds instance labels, probabilities or a mask; the output says which. Objects of probabilities and masks
    are connected components. LABELS number the cells; an image of a store, STORE/images/NAME, means the labels of this
    image.
    """
    from unettrain import evaluate_files

    done = evaluate_files(prediction_file, labels, chosen(EvaluateParams, values))
    result("evaluate", done.as_dict(), done.as_text(), as_json)


@main.command(
    cls=Examples,
    short_help="Show a run in one HTML page.",
    examples="unettrain report runs/ds\nunettrain report runs/ds --out report.html",
)
@click.argument("run")
@click.option("--out", metavar="FILE", help="The page, .html; replaces an earlier report.  [default: RUN/report.html]")
@moved_store
@common
def report(run: str, out: str | None, store: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Show a run in one HTML page: the data, its weights and tiles, the training, the predictions and their scores."""
    from unettrain import report as write_report

    done = write_report(run, out, store)
    result("report", done.as_dict(), f"{done.as_text()}\n-> {done.path}", as_json)
