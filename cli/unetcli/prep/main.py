"""Command line `unetprep`: prepare labelled images for training."""

import click

from unetcli.options import ExamplesGroup
from unetcli.prep import completion, datasets, doctor, fetch, formats, lint, plan, preview, scan, stages, store, view
from unetprep import __version__
from unetprep.stages.table import STAGES

EXAMPLES = """
unetprep weights --in labels.tif --out ds.zarr
unetprep import --image images/ --labels masks/ --out ds.zarr
unetprep run recipe.toml
"""
HELP = """Prepare labelled images for U-Net training: weight maps, deformation fields and tiles, in a Zarr store.

A command that is repeated does nothing; one that was interrupted continues where it stopped.
"""


def make_group() -> click.Group:
    """The command line, with a command for each stage of the table, in the order in which they are used."""
    settings = {"max_content_width": 110, "show_default": True}
    group: click.Group = ExamplesGroup("unetprep", examples=EXAMPLES, context_settings=settings, help=HELP)
    planned = [stages.import_, *map(stages.stage_command, STAGES.values()), stages.run]
    commands: list[click.Command] = [
        datasets.datasets,
        fetch.fetch,
        formats.formats,
        scan.scan,
        lint.lint,
        *planned[:-1],
        preview.preview,
        view.view,
        stages.run,
    ]
    commands += [plan.plan_group(planned), store.info, store.verify, store.relabel, store.remove]
    for command in (*commands, doctor.doctor, completion.completion):
        group.add_command(command)
    return click.version_option(__version__, prog_name="unetprep")(group)


main = make_group()
