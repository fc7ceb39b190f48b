"""Command `predict`."""

from typing import Any

import click

from unetcli.options import Examples, common, result
from unetcli.progress import progress
from unetprep.parameter import numbers


@click.command(
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
