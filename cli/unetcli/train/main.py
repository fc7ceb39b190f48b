"""The command group `unettrain`."""

import click

from unetcli.options import ExamplesGroup
from unetcli.train import evaluate, export, fit, foreign, paper_check, predict, runs
from unettrain import __version__

EXAMPLES = """
unettrain fit ds.zarr
unettrain predict runs/ds image.tif --out cells.tif
unettrain evaluate cells.tif labels.tif
unettrain report runs/ds
"""


@click.group(cls=ExamplesGroup, examples=EXAMPLES, context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="unettrain")
def main() -> None:
    """Train the U-Net of 2015 on a store of unetprep; predict without seams; evaluate; report."""


for command in (
    fit.fit,
    runs.draws,
    predict.predict,
    evaluate.evaluate,
    runs.report,
    export.export,
    foreign.import_weights,
    paper_check.paper_check,
):
    main.add_command(command)
