"""Command line `unettrain`: train on a store, predict, score, report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetcli.options import INSTANCES, PREDICTIONS, Examples, ExamplesGroup, chosen, common, from_fields, result
from unetcli.progress import progress
from unetcli.stopping import leaving_at_once
from unetprep.storage.output import local_output
from unettrain import __version__
from unettrain.config import FitConfig
from unettrain.errors import Failure, InvalidInput
from unettrain.outcome import CHECKLIST, as_text

if TYPE_CHECKING:  # whatever costs time to import waits until a command runs
    from unettrain.data.intensity import Scaling
    from unettrain.training_loop import Progress

GROUP_EXAMPLES = """
unettrain fit ds.zarr
unettrain predict runs/ds image.tif --out prediction.tif
unettrain evaluate prediction.tif labels.tif
unettrain report runs/ds
"""


@click.group(cls=ExamplesGroup, examples=GROUP_EXAMPLES, context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="unettrain")
def main() -> None:
    """Train the U-Net of 2015 on a store that unetprep made; predict without seams; score; report."""


def _option_name(field_name: str) -> str:
    return field_name.replace("_", "-")


@main.command(
    cls=Examples,
    short_help="Train on a store.",
    examples="unettrain fit ds.zarr\nunettrain fit ds.zarr --run runs/small --base-channels 16 --steps 2000",
)
@click.argument("store")
@click.option("--run", metavar="DIR", help="Directory of the run.  [default: runs/STORE, without its ending]")
@click.option("--overwrite", is_flag=True, help="Start afresh where another run stands.")
@click.option(
    "--fail-below",
    type=float,
    metavar="IOU",
    help="End with exit code 1 if the validation IoU of the best network is below this value, 0 to 1.",
)
@from_fields(FitConfig, _option_name)
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

    The same command goes on where a run stopped, and does nothing once it is complete. A second one in the same
    directory is refused while the first one runs. A network that predicts nothing is warned of at the end.
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
    text = f"trained {done.updates} steps, {done.step} in all" if done.updates else f"nothing to do at step {done.step}"
    best = "" if done.best_loss is None else f"; best validation loss {done.best_loss:.4g}"
    found = {
        "run": str(done.run_dir),
        "step": done.step,
        "updates": done.updates,
        "best_loss": done.best_loss,
        "val_iou": done.val_iou,
        "warnings": list(done.warnings),
    }
    result("fit", found, f"fit: {text}{best}\n-> {directory}", as_json)
    if done.warnings:
        click.echo(as_text(done.warnings), err=True)
    if fail_below is not None and not (done.val_iou is not None and done.val_iou >= fail_below):
        iou = "not known, as this run was begun by an older release" if done.val_iou is None else f"{done.val_iou:.3f}"
        raise Failure(f"the validation IoU is {iou}", allowed=f"at least {fail_below} (--fail-below)", hint=CHECKLIST)


@main.command(
    cls=Examples,
    short_help="Say what augmentation a run draws.",
    examples="unettrain draws runs/ds\nunettrain draws runs/ds --first 4200 --steps 10 > draws.jsonl",
)
@click.argument("run")
@click.option("--first", type=click.IntRange(0, 2**40), default=0, show_default=True, help="From which step on.")
@click.option("--steps", type=click.IntRange(1, 100_000), default=1, show_default=True, help="How many steps.")
@click.option("--store", metavar="STORE", help="The store, if it has moved since the training.")
@common
def draws(run: str, first: int, steps: int, store: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Say what augmentation a run draws for each tile: one line of JSON a tile, in the order of training.

    Seed, epoch and tile decide everything, so nothing was recorded for it, and steps to come are known too.
    TileStream.replay makes a batch of such lines again.
    """
    from unettrain.draws import draws_of

    found = list(draws_of(run, range(first, first + steps), store))
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
@click.option("--axes", default="", help="Axes of the image file, as for unetprep import.  [default: as the file says]")
@click.option("--tile", type=int, help="Side of a tile in pixels; the result does not depend on it.  [default: 572]")
@click.option("--device", default="auto", show_default=True, help="auto (a GPU if there is one), cpu, cuda ...")
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Threads of the network on the CPU.  [default: all cores]"
)
@click.option(
    "--intensity",
    metavar="LOW,HIGH|RULE",
    default="",
    help="What becomes 0 and 1: two values, or a rule as for unetprep import: auto, dtype, minmax, percentile."
    "  [default: as in the training]",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier prediction at --out.")
@common
def predict(checkpoint: str, image: str, out: str, as_json: bool, quiet: bool, verbose: bool, **values: Any) -> None:
    """Predict the probability of a cell at every pixel of IMAGE, of any size, without seams.

    CHECKPOINT is a run, whose best network is taken, or one of its .pt files. IMAGE is a file, or an image of a store,
    STORE/images/NAME.
    """
    from unettrain.prediction.files import predict_file

    scalings: list[Scaling] = []
    with progress("predict", quiet) as report:
        shape = predict_file(checkpoint, image, out, on_progress=report, on_scaling=scalings.append, **values)
    for warning in scalings[0].warnings:
        click.echo(f"Warning: {warning}", err=True)
    sides, (low, high) = " x ".join(map(str, shape)), scalings[0].range
    found = {"out": out, "shape": list(shape), "intensity": [low, high], "warnings": list(scalings[0].warnings)}
    text = f"predict: {sides} probabilities, with intensity {low:g},{high:g}\n-> {out}"
    result("predict", found, text, as_json)


@main.command(
    cls=Examples,
    short_help="Score a prediction.",
    examples="unettrain evaluate prediction.tif labels.tif\n"
    "unettrain evaluate prediction.tif ds.zarr/images/img-test --json\n"
    "unettrain evaluate cells.png labels.png --prediction instances",
)
@click.argument("prediction_file", metavar="PREDICTION")
@click.argument("labels")
@click.option(
    "--dims",
    type=click.Choice(["2", "3"]),
    help="2: the slices of a stack are independent images; 3: a stack is one volume.  [default: as the store of LABELS"
    " says; 2 for a single slice; has to be given for any other stack]",
)
@click.option(
    "--prediction",
    type=click.Choice(PREDICTIONS),
    default="auto",
    show_default=True,
    help="What PREDICTION holds. instances: each number is one object; probability: foreground is above --threshold;"
    " mask: foreground is not 0, or above --threshold; auto: found from dtype and values, refused if ambiguous.",
)
@click.option(
    "--threshold",
    type=float,
    help="Foreground is above it: for probabilities from 0 to 1, for a mask in its own values.  [default: 0.5 for"
    " probabilities]",
)
@click.option(
    "--instances",
    type=click.Choice(INSTANCES),
    default="auto",
    show_default=True,
    help="What LABELS hold. ids: each number is one cell; components: each connected component of a mask is one cell;"
    " auto: ids, refusing a binary mask and values that change gradually.",
)
@click.option("--ignore-label", type=int, help="Number in LABELS of pixels that are neither cell nor background.")
@common
def evaluate(
    prediction_file: str, labels: str, dims: str | None, as_json: bool, quiet: bool, verbose: bool, **values: Any
) -> None:
    """Score PREDICTION against LABELS: IoU of the foreground, and AP of the cells.

    PREDICTION holds instance labels, probabilities or a mask; the output says which. Objects of probabilities and masks
    are connected components. LABELS number the cells; an image of a store, STORE/images/NAME, stands for its own
    labels.
    """
    from unettrain.evaluation.files import EvaluateOptions, as_text, evaluate_files

    options = EvaluateOptions(dims=int(dims) if dims else None, **values)
    scores = evaluate_files(prediction_file, labels, options)
    result("evaluate", scores, as_text(scores), as_json)


@main.command(
    cls=Examples,
    short_help="Show a run in one HTML page.",
    examples="unettrain report runs/ds\nunettrain report runs/ds --out report.html",
)
@click.argument("run")
@click.option("--out", metavar="FILE", help="The page, .html; replaces an earlier report.  [default: RUN/report.html]")
@click.option("--store", metavar="STORE", help="The store, if it has moved since the training.")
@common
def report(run: str, out: str | None, store: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Show a run in one HTML page: the data, its weights and tiles, the training, the predictions and their scores."""
    from unettrain.evaluation.files import as_table
    from unettrain.reporting import write_report

    written = write_report(run, out, store)
    values = {"out": str(written.path), "scores": written.scores}
    result("report", values, f"{as_table(written.scores)}\n-> {written.path}", as_json)
