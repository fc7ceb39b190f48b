"""Pictures of a store, written to PNG files."""

import struct
from pathlib import Path

from unetprep.previews.fields import FieldsPreview, select_fields
from unetprep.previews.fields_figure import draw_fields
from unetprep.previews.weights import Preview, View, select
from unetprep.previews.weights_figure import SOFTWARE, draw
from unetprep.storage.output import OutputKind, check_output

PNG = b"\x89PNG\r\n\x1a\n"
MARK = b"Software\0" + SOFTWARE.encode()  # content of a chunk tEXt (PNG 1.2, section 4.2.3.1)


def preview_file(store: str, out: str, view: View, overwrite: bool) -> Preview:
    """Draw what a view asks for; returns what is shown. The output is checked before anything is read."""
    output = check_output(out, PICTURE, overwrite=overwrite, inputs=(store,))
    preview = select(store, view)
    output.write_bytes(draw(preview))
    return preview


def preview_fields_file(store: str, out: str, view: View, numbers: tuple[int, ...], overwrite: bool) -> FieldsPreview:
    """Draw what deformation fields of these numbers make of a tile; likewise."""
    output = check_output(out, PICTURE, overwrite=overwrite, inputs=(store,))
    preview = select_fields(store, view, numbers)
    output.write_bytes(draw_fields(preview))
    return preview


def is_preview(path: Path) -> bool:
    """Whether a file is a PNG that `unetprep preview` wrote, as one of its text chunks says."""
    with path.open("rb") as file:
        if file.read(len(PNG)) != PNG:
            return False
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT":  # matplotlib writes text before the pixels
                return False
            if kind == b"tEXt" and file.read(min(length, len(MARK))) == MARK:
                return True
            file.seek(length + 4 - (min(length, len(MARK)) if kind == b"tEXt" else 0), 1)
    return False


PICTURE = OutputKind(SOFTWARE, (".png",), is_preview)
