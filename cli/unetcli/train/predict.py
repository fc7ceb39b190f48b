"""Command `predict`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import click

from unetcli.next_command import suggest_next
from unetcli.options import Examples, chosen, common, from_fields, result
from unetcli.progress import progress
from unetprep.parameter import option_name
from unettrain.decoding.params import DecodingParams
from unettrain.prediction.params import PredictParams


@click.command(
    cls=Examples,
    short_help="Predict images of any size.",
    examples="unettrain predict runs/ds image.tif --out cells.tif\n"
    "unettrain predict runs/ds raw --out predicted --also table,overlay\n"
    "unettrain predict runs/ds image.tif --out probabilities.tif --instances none\n"
    "unettrain predict runs/ds/best.pt ds.zarr --split test --out predicted",
)
@click.argument("checkpoint")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--out",
    required=True,
    metavar="PATH",
    help="Of one image, a file: .tif, .npy, .zarr or, of labels, .png; or labels beside the image,"
    " IMAGE.zarr/labels/NAME. Of several, a folder.",
)
@from_fields(DecodingParams, option_name, unset="as the run has chosen, or {default}")
@from_fields(PredictParams, option_name)
@click.option("--overwrite", is_flag=True, help="Replace earlier predictions, unless they would be the same.")
@common
def predict(
    checkpoint: str,
    images: tuple[str, ...],
    out: str,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **values: Any,
) -> None:
    """Predict the cells in each IMAGE, of any size, without seams.

    CHECKPOINT is a run, whose best network is used, or one of its .pt files. IMAGE is a file, a folder, a pattern with
    wildcards, a URL, a store, or an image of a store, STORE/images/NAME. The output numbers the cells; with
    --instances none it holds probabilities. The same command continues a prediction that was stopped, and skips images
    whose output is complete.
    """
    params: PredictParams = chosen(PredictParams, values)
    decoding = {f.name: values[f.name] for f in fields(DecodingParams) if values[f.name] is not None}
    from unettrain import predict_many

    options = {f.name: getattr(params, f.name) for f in fields(params)}
    with progress("predict", quiet) as report:
        done = predict_many(
            checkpoint, images, out, decoding=decoding, overwrite=overwrite, on_progress=report, **options
        )
    for prediction in done:
        for warning in prediction.warnings:
            click.echo(f"Warning: {prediction.path.name + ': ' if len(done) > 1 else ''}{warning}", err=True)
    if len(done) == 1:
        found = done[0].as_dict()
        result("predict", found | {"out": str(done[0].path)}, f"{_text(found)}\n-> {done[0].path}", as_json)
        suggest_next(*_next_of(images, out, params.split))
        return
    new = sum(prediction.is_new for prediction in done)
    skipped = f", {len(done) - new} were there already" if new < len(done) else ""
    lines = [f"predict: {new} images{skipped}\n-> {out}"]
    result("predict", {"out": out, "predictions": [p.as_dict() for p in done]}, "\n".join(lines), as_json)
    suggest_next(*_next_of(images, out, params.split))


def _next_of(images: Sequence[str], out: str, split: str) -> list[str]:
    """The evaluation, where a store has labels of the images: it was the only input."""
    from unettrain.prediction.inputs import is_in_store

    if len(images) > 1 or not (split or is_in_store(images[0])):
        return []
    return ["unettrain", "evaluate", out, images[0], *(["--split", split] if split else [])]


def _text(found: Mapping[str, Any]) -> str:
    sides, (low, high) = " x ".join(map(str, found["shape"])), found["intensity"]
    if not found.get("is_new", True):
        return f"predict: nothing to do, {sides} pixels were predicted before"
    what = (
        f"{found['num_instances']} instances in {sides} pixels"
        if "num_instances" in found
        else f"{sides} probabilities"
    )
    seam = f"; largest seam {found['largest_seam']:.2g}" if "largest_seam" in found else ""
    return f"predict: {what}, with intensity {low:g},{high:g}{seam}"
