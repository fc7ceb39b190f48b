"""`unetprep fetch`."""

import click

from unetcli.options import Examples, common, result
from unetprep.storage.output import local_output


@click.command(
    cls=Examples,
    short_help="Fetch a public data set.",
    examples="unetprep fetch nuclei\nunetprep fetch nuclei --out data/nuclei\nunetprep fetch my-data.toml",
)
@click.argument("name")
@click.option("--out", help="Folder for the files.  [default: data/NAME]")
@common
def fetch(name: str, out: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Fetch a public data set, and verify the checksum of every file.

    NAME is that of a manifest that comes with unetprep, or the path of a manifest.
    """
    import unetprep

    fetched = unetprep.fetch(name, local_output(out) if out else None)
    lines = [f"{path}  ({state})" for path, state in fetched.files.items()]
    text = "\n".join([*lines, f"{fetched.title}; {fetched.terms}"])
    result("fetch", {"name": name, "files": fetched.files, "terms": fetched.terms}, text, as_json)
