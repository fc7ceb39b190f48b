"""`unetprep preview`."""

from typing import Any

import click

from unetcli.next_command import suggest_next
from unetcli.options import Examples, common, result
from unetcli.prep.options import with_storage_options
from unetcli.prep.store import next_of
from unetprep.errors import InvalidInput
from unetprep.parameter import integers


@click.command(
    cls=Examples,
    short_help="Draw the weight map of an image.",
    examples="unetprep preview ds.zarr --out preview.png\n"
    "unetprep preview ds.zarr --out preview.png --image img --at 1024,2048 --size 256\n"
    "unetprep preview ds.zarr --out fields.png --fields",
)
@click.argument("store")
@click.option("--out", required=True, metavar="PNG", help="The picture.")
@click.option("--image", metavar="NAME", help="The image.  [default: the first]")
@click.option("--z", type=int, help="The slice.  [default: the middle one]")
@click.option(
    "--at",
    metavar="Y,X",
    help="Upper left corner of the window.  [default: where the border term is largest; with --fields the middle]",
)
@click.option(
    "--size", type=int, help="Side of the window, in pixels.  [default: 512; with --fields the tile they are made for]"
)
@click.option("--fields", is_flag=True, help="Draw a tile under some deformation fields instead.")
@click.option(
    "--field", "numbers", type=int, multiple=True, help="With --fields: which; may be repeated.  [default: 0, 1, 2]"
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier preview at --out.")
@common
@with_storage_options
def preview(fields: bool, numbers: tuple[int, ...], at: str | None, size: int | None, **values: Any) -> None:
    """Draw a part of an image with its cells, target, distances and weights, as in Fig. 3 of the paper.

    With --fields, draw a checkerboard and a tile with its cells, undeformed and under some fields.
    """
    if numbers and not fields:
        raise click.UsageError("--field goes with --fields")
    import unetprep

    names = ("store", "image", "z", "out", "overwrite")
    given = {"at": _corner(at), "size_px": size, **{name: values[name] for name in names}}
    window, text = _draw_fields(numbers or (0, 1, 2), given) if fields else _draw(given)
    shown = {"store": values["store"], "out": values["out"], **window}
    result("preview", shown, f"{text}\n-> {values['out']}", values["as_json"])
    if values["quiet"] or values["as_json"]:
        return
    following = next_of(unetprep.info(values["store"]))
    if following[1:2] != ["preview"]:  # labels alone end here
        suggest_next(*following)


def _draw(given: dict[str, Any]) -> tuple[dict[str, Any], str]:
    import unetprep

    shown = unetprep.preview(**given).shown
    height, width = shown.weights.shape
    text = f"{shown.name}, z {shown.z}, {height} x {width} pixels from ({shown.y0}, {shown.x0})"
    place = {"image": shown.name, "z": shown.z, "y": shown.y0, "x": shown.x0}
    return {**place, "height": height, "width": width}, text


def _draw_fields(numbers: tuple[int, ...], given: dict[str, Any]) -> tuple[dict[str, Any], str]:
    import unetprep

    shown = unetprep.preview_fields(fields=numbers, **given).shown
    drawn = [field.number for field in shown.moved if field.number is not None]
    text = f"{shown.name}, fields {', '.join(map(str, drawn))}, a tile of {shown.tile_px}"
    place = {"image": shown.name, "z": shown.z, "y": shown.y0, "x": shown.x0}
    return {**place, "tile": shown.tile_px, "fields": drawn}, text


def _corner(at: str | None) -> tuple[int, int] | None:
    corner = integers(at) if at is not None else None
    if at is not None and not (isinstance(corner, tuple) and len(corner) == 2):
        raise InvalidInput(f"at is {at!r}", allowed="two whole numbers, Y,X, such as 1024,2048")
    return (corner[0], corner[1]) if isinstance(corner, tuple) else None
