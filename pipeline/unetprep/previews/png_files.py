"""PNG files of previews, recognized by a text chunk, so that only previews are overwritten."""

import struct
from pathlib import Path

from unetprep.previews.weights_figure import SOFTWARE
from unetprep.storage.output import OutputKind

PNG = b"\x89PNG\r\n\x1a\n"
MARK = b"Software\0" + SOFTWARE.encode()  # content of a chunk tEXt (PNG 1.2, section 4.2.3.1)


def is_preview(path: Path) -> bool:
    """Whether a file is a PNG of a preview, by its text chunks."""
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
