"""`unetprep formats`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from unetcli.options import Examples, common, result

if TYPE_CHECKING:
    from unetprep import Format


@click.command(
    cls=Examples,
    short_help="List the image formats that this installation reads.",
    examples="unetprep formats\nunetprep formats --json",
)
@common
def formats(as_json: bool, quiet: bool, verbose: bool) -> None:
    """List the image formats: their endings, the package that reads each, and how to install those that are missing.

    A file may hold several images: --series chooses one, --level a level of a pyramid, and FILE.h5:/NAME a dataset by
    its name.
    """
    import unetprep
    from unetprep.sources.formats.table import EXTRA

    found = unetprep.formats()
    result("formats", {"formats": list(map(_as_values, found))}, _as_text(found, EXTRA), as_json)


def _as_values(known: "Format") -> dict[str, Any]:
    names = {"name": known.name, "endings": list(known.endings), "library": known.library}
    return names | {"version": known.version or None, "installed": bool(known.version), "names_inside": known.has_names}


def _as_text(found: "Sequence[Format]", extra: str) -> str:
    rows = [(known.name, " ".join(known.endings), known.library, known.version or extra) for known in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
