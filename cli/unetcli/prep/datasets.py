"""`unetprep datasets`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetcli.next_command import suggest_next
from unetcli.options import Examples, common, result
from unetprep.params import format_bytes

if TYPE_CHECKING:
    from unetprep import Manifest

HEADS = ("name", "images", "cells", "size", "terms", "source", "fetch")
NOT_STATED = "not stated"
EASIEST = "nuclei"  # small, and from the package index: it can be fetched wherever this package was installed
ALWAYS = ("cite", "home", "pixel size", "labels", "split")  # shown also where a manifest does not state them


@click.command(
    cls=Examples,
    short_help="List the public data sets that can be fetched.",
    examples="unetprep datasets\nunetprep datasets isbi2012\nunetprep datasets --json",
)
@click.argument("name", required=False)
@common
def datasets(name: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """List the public data sets that can be fetched; of one, show all that its manifest says.

    NAME is that of a manifest that comes with unetprep, or the path of a manifest.
    """
    import unetprep
    from unetprep.fetching import read_manifest

    found = [read_manifest(name)] if name else unetprep.datasets()
    text = describe(found[0]) if name else table(found)
    result("datasets", {"datasets": list(map(_as_values, found))}, text, as_json)
    if not name or found[0].kind != "local":
        suggest_next("unetprep", "fetch", name or EASIEST)


def table(found: "Sequence[Manifest]") -> str:
    """One line for each data set."""
    rows = [HEADS, *map(row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def row(manifest: "Manifest") -> tuple[str, ...]:
    """The cells of the table."""
    size = "unknown" if manifest.num_bytes is None else format_bytes(manifest.num_bytes)
    images = NOT_STATED if manifest.images is None else str(manifest.images)
    how = "with --from" if manifest.kind == "local" else "yes"
    cells, terms = manifest.cells or NOT_STATED, manifest.license or "see its page"
    return manifest.name, images, cells, size, terms, manifest.kind, how


def describe(manifest: "Manifest") -> str:
    """All that the manifest says, one subject a line."""
    values = dict(zip(HEADS, row(manifest), strict=True))
    lines = {
        "terms": f"{manifest.license}: {manifest.terms}" if manifest.license else manifest.terms,
        "cite": manifest.cite,
        "home": manifest.home,
        **{head: values[head] for head in ("images", "cells", "size")},
        "pixel size": manifest.pixel_size,
        "labels": manifest.labels,
        "split": manifest.split,
        "source": _source(manifest),
        "obtain": manifest.obtain,
        "digests": manifest.digest_origin,
        "fetch": f"unetprep fetch {manifest.name}" + (" --from FOLDER" if manifest.kind == "local" else ""),
        "import": manifest.import_command(Path("data") / manifest.name),
    }
    shown = [f"{head:<12}{value or NOT_STATED}" for head, value in lines.items() if value or head in ALWAYS]
    files = [_file_line(file.path, file.sha256, file.pixels) for file in manifest.contents]
    return "\n".join([f"{manifest.name}: {manifest.title}", *shown, "files", *files])


def _file_line(path: str, sha256: str | None, pixels: str | None) -> str:
    known = [f"sha256 {sha256}" if sha256 else "", f"pixels {pixels}" if pixels else ""]
    return f"  {path}  {' '.join(filter(None, known)) or 'digest unknown'}"


def _source(manifest: "Manifest") -> str:
    if manifest.wheel:
        return f"the wheel of {manifest.wheel.package} {manifest.wheel.version} on the Python package index"
    urls = [each.url for each in manifest.contents if each.url]
    return " ".join(urls) or "files of your own"


def _as_values(manifest: "Manifest") -> dict[str, Any]:
    derived = {
        "num_bytes": manifest.num_bytes,
        "fetchable": manifest.kind != "local",
        "import_command": manifest.import_command(Path("data") / manifest.name) or None,
    }
    return asdict(manifest) | derived
