"""Implementation of `unetprep preview`: from a store to a picture file."""

from pathlib import Path

from unetcli.fields_figure import draw_fields
from unetcli.preview_figure import draw
from unetprep.errors import Conflict, InvalidInput
from unetprep.preview import Preview, View, select
from unetprep.preview_fields import FieldsPreview, select_fields

ENDING = ".png"


def preview_file(store: str, out: str, view: View, overwrite: bool) -> Preview:
    """Draw what a view asks for; returns what is shown. What stands at `out` is kept till the end."""
    path = _place(out, overwrite)
    preview = select(store, view)
    _write(path, draw(preview))
    return preview


def preview_fields_file(store: str, out: str, view: View, numbers: tuple[int, ...], overwrite: bool) -> FieldsPreview:
    """Draw what these deformation fields make of a tile; likewise."""
    path = _place(out, overwrite)
    preview = select_fields(store, view, numbers)
    _write(path, draw_fields(preview))
    return preview


def _place(out: str, overwrite: bool) -> Path:
    path = Path(out)
    if path.suffix.lower() != ENDING:
        raise InvalidInput(f"--out is {out}", allowed=f"a name that ends in {ENDING}")
    if path.exists() and not overwrite:
        raise Conflict(f"{out} is there already", hint="--overwrite replaces it, or name another --out")
    return path


def _write(path: Path, png: bytes) -> None:
    """Write beside the place, then move there, so that no half of a file is ever found under the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{ENDING}")
    try:
        partial.write_bytes(png)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
