"""`unetprep fetch`."""

from typing import TYPE_CHECKING

import click

from unetcli.options import Examples, common, result
from unetcli.progress import stage_progress
from unetprep.storage.output import local_output

if TYPE_CHECKING:
    from unetprep import Fetched, Manifest

MOST_LINES, SHOWN_LINES = 20, 5  # of many files only the first are listed; --json lists all


@click.command(
    cls=Examples,
    short_help="Fetch a public data set.",
    examples="unetprep fetch nuclei\nunetprep fetch bbbc039 --out data/bbbc039\n"
    "unetprep fetch isbi2012 --from ~/Downloads\nunetprep fetch my-data.toml",
)
@click.argument("name")
@click.option("--out", help="Folder for the files.  [default: data/NAME]")
@click.option(
    "--from",
    "from_folder",
    metavar="FOLDER",
    help="Download nothing: find the files in this folder and its zip archives, by name or digest, and copy them.",
)
@common
def fetch(name: str, out: str | None, from_folder: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Fetch a public data set, and compare every file with the digest in its manifest.

    The terms are shown first. A download that was interrupted is resumed. The output ends with the command that
    imports the data set. NAME is one of unetprep datasets, or the path of a manifest.
    """
    import unetprep
    from unetprep.fetching import read_manifest

    manifest = read_manifest(name)
    folder = local_output(out) if out else None
    click.echo(_terms(manifest), err=True)
    with stage_progress(quiet) as report:

        def on_progress(doing: str, done: int, total: int) -> None:
            kib = done // 1024
            if total:
                report(f"{doing}, KiB", kib, max(kib, total // 1024, 1))
            else:
                report(doing, 0, 1, KiB=kib)

        fetched = unetprep.fetch(name, folder, from_folder=from_folder, on_progress=on_progress)
    values = {"name": name, "files": fetched.files, "terms": fetched.terms, "license": fetched.license or None}
    values |= {"cite": fetched.cite or None, "unverified": fetched.unverified}
    result("fetch", values | {"import_command": fetched.import_command or None}, _as_text(fetched), as_json)


def _terms(manifest: "Manifest") -> str:
    lines = [manifest.title, f"  terms: {manifest.terms}"]
    lines += [f"  cite:  {manifest.cite}"] if manifest.cite else []
    lines += [f"  from:  {manifest.home}"] if manifest.home else []
    return "\n".join(lines)


def _as_text(fetched: "Fetched") -> str:
    lines = [f"{path}  ({state})" for path, state in fetched.files.items()]
    if len(lines) > MOST_LINES:
        lines = [*lines[:SHOWN_LINES], f"and {len(lines) - SHOWN_LINES} more"]
    lines += [
        f"NOT VERIFIED: the manifest knows no digest of {path}; its SHA-256 is {digest}"
        for path, digest in fetched.unverified.items()
    ]
    lines += [f"import it:  {fetched.import_command}"] if fetched.import_command else []
    return "\n".join(lines)
