"""`unetprep scan`."""

from dataclasses import asdict
from typing import Any

import click

from unetcli.options import Examples, chosen, common, from_fields, result
from unetprep.parameter import option_name
from unetprep.params import LAYOUTS, FileParams, LayoutParams

TABLE = "\n".join(f"    {layout.name:<10}{layout.looks}" for layout in LAYOUTS)


@click.command(
    cls=Examples,
    short_help="Say what data set a folder holds, and how to import it.",
    examples="unetprep scan data/\nunetprep scan data/ --layout coco --json\n"
    "unetprep scan data/ --label-pattern '{name}_nuclei'",
    help=f"""Say what data set a folder holds, and how to import it. Nothing is written.

    The output is the layout, the images, what is left out and why, and the command to run next.

    \b
{TABLE}
    """,
)
@click.argument("folder")
@from_fields(LayoutParams, option_name)
@from_fields(FileParams, option_name)
@common
def scan(folder: str, as_json: bool, quiet: bool, verbose: bool, **values: Any) -> None:
    """Say what data set a folder holds."""
    import unetprep

    found = unetprep.scan(folder, chosen(LayoutParams, values), chosen(FileParams, values))
    result("scan", asdict(found), str(found), as_json)
