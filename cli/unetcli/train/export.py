"""Command `export`."""

from typing import Any

import click

from unetcli.options import Examples, chosen, common, from_fields, result
from unetprep.parameter import option_name
from unettrain.export.params import ExportParams


@click.command(
    cls=Examples,
    short_help="Write a trained network for other software.",
    examples="unettrain export runs/ds --out cells.onnx\n"
    "unettrain export runs/ds --format torch --out cells.pt2\n"
    "unettrain export runs/ds --format bioimageio --license CC-BY-4.0 --author 'A. Name' --out cells.zip",
)
@click.argument("checkpoint")
@click.option("--out", required=True, metavar="PATH", help="The file: .onnx, .pt2 or .zip, as the format says.")
@from_fields(ExportParams, option_name)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export at --out.")
@common
def export(
    checkpoint: str, out: str, overwrite: bool, as_json: bool, quiet: bool, verbose: bool, **values: Any
) -> None:
    """Write the network of CHECKPOINT, a run or a .pt file, as ONNX, as a torch program, or as a bioimage.io package.

    The exported network gives the probability of every class. Sizes, halo, intensity scaling, pixel size and decoding
    stand in the file.
    """
    from unettrain import export_model

    done = export_model(checkpoint, out, chosen(ExportParams, values), overwrite=overwrite)
    for warning in done.warnings:
        click.echo(f"Warning: {warning}", err=True)
    sizes = f"sides {done.description['tile_least']} + k * {done.description['tile_step']}"
    result("export", done.as_dict(), f"export: {done.format}, {sizes}\n-> {out}", as_json)
