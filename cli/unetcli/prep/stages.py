"""`unetprep import`, `run`, and a command for each stage of the table."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetcli.next_command import suggest_next
from unetcli.options import Command, Examples, chosen, from_fields, result
from unetcli.prep.options import cluster_options, with_store_options
from unetcli.prep.plan import print_plan
from unetcli.progress import stage_progress
from unetprep.errors import InvalidInput
from unetprep.parameter import option_name
from unetprep.params import ImportParams, LayoutParams
from unetprep.stages.table import STAGES, Stage

if TYPE_CHECKING:
    from unetprep import Summary

IMPORT = "import"
LABEL_OPTIONS = (  # of an import of labels alone
    *("axes", "label_axes", "level", "series", "label_channel"),
    *("dims", "instances", "connectivity", "ignore_label", "label_threshold", "num_classes", "class_table"),
)


# -- import and run ---------------------------------------------------------------------------------------------------


@click.command(
    IMPORT,
    cls=Examples,
    short_help="Import images and their labels into a store.",
    examples="unetprep import --image img.tif --labels mask.tif --out ds.zarr --test-fraction 0.25\n"
    "unetprep import --image images/ --labels masks/ --out ds.zarr\n"
    "unetprep import --data data/ --layout auto --out ds.zarr",
)
@click.option("--image", "images", multiple=True, metavar="PATH", help="An image, or a folder of them.")
@click.option("--labels", multiple=True, metavar="PATH", help="Its labels, or a folder of them.")
@click.option(
    "--data",
    metavar="FOLDER",
    default="",
    show_default=False,
    help="A data set, instead of --image and --labels; see unetprep scan.",
)
@from_fields(LayoutParams, option_name)
@click.option("--out", required=True, metavar="STORE", help="The store, which is created if it does not exist.")
@from_fields(ImportParams, option_name)
@with_store_options
def import_(images: tuple[str, ...], labels: tuple[str, ...], data: str, out: str, **values: Any) -> None:
    """Import images and their labels, paired by file name, of any sizes, grey or with channels.

    The formats are listed by unetprep formats. Labels number the cells from 1; 0 is background.
    """
    import unetprep

    if not data and not (images and labels):
        raise click.UsageError("name --image and --labels, or --data")
    layout = chosen(LayoutParams, values)
    given = {"images": images, "labels": labels, "importing": chosen(ImportParams, values)}
    given |= {"data": data, "layout": layout if data or layout != LayoutParams() else None}
    run, plan = partial(unetprep.prepare_store, out, **given), partial(unetprep.plan, out, **given)
    _run_or_plan(IMPORT, out, values, run, plan)


@click.command(
    cls=Examples,
    short_help="Import and run all stages, as a recipe says.",
    examples="unetprep run recipe.toml\nunetprep run recipe.toml --scheduler processes --workers 16 --memory 4GB",
)
@click.argument("recipe")
@click.option("--out", metavar="STORE", help="The store, instead of the one that the recipe names.")
@with_store_options
def run(recipe: str, out: str | None, **values: Any) -> None:
    """Import images and labels and run all stages, as a recipe says.

    \b
    RECIPE is a TOML file; every key but out and [import] labels may be left off:
      out = "ds.zarr"
      [import]
      image = "images"
      labels = "masks"
      test-fraction = 0.2
      [weights]
      sigma = 5
      [tiles]
      tile = 316
      [cluster]
      scheduler = "slurm"
      queue = "cpu"
      cores = 8
      memory = "16GB"
      workers = 20
    """
    import unetprep
    from unetprep.recipe import read_recipe

    url = out or read_recipe(recipe).out
    run, plan = partial(unetprep.run_recipe, recipe, url), partial(unetprep.plan_recipe, recipe, url)
    _run_or_plan("run", url, values, run, plan)


# -- stages -----------------------------------------------------------------------------------------------------------


def stage_command(stage: Stage) -> Examples:
    """The command of a stage; its options come from its parameters."""

    def command(inputs: tuple[str, ...], out: str, **values: Any) -> None:
        import unetprep

        labels = [path for path in inputs if path.rstrip("/") != out.rstrip("/")]
        if labels and not stage.imports_labels:
            raise InvalidInput(
                f"--in is {labels[0]} and --out is {out}",
                allowed="one store: this stage reads the arrays that it holds",
            )
        given: dict[str, Any] = {"labels": labels, "stages": [chosen(stage.params, values)]}
        if stage.imports_labels:  # --spacing is that of the stage
            given["importing"] = chosen(ImportParams, {name: values[name] for name in LABEL_OPTIONS})
        run, plan = partial(unetprep.prepare_store, out, **given), partial(unetprep.plan, out, **given)
        _run_or_plan(stage.name, out, values, run, plan, bool(labels))

    decorate = click.command(
        stage.name,
        cls=Examples,
        short_help=stage.summary,
        help=stage.help,
        examples="\n".join(stage.examples),
    )
    found: Examples = decorate(_input_options(stage)(with_store_options(command)))
    return found


def _input_options(stage: Stage) -> Callable[[Command], Command]:
    """--in and --out, and the parameters of the stage, and of the import if its command can import labels."""
    created = stage.creates_store or stage.imports_labels
    metavar, help = (
        ("PATH", "Labels to import first: files or folders.")
        if stage.imports_labels
        else ("STORE", "The store, as in --out; may be left off.")
    )
    out_help = "The store" + (", which is created if it does not exist." if created else " that is read and written.")

    def decorate(command: Command) -> Command:
        command = (
            from_fields(ImportParams, option_name, only=LABEL_OPTIONS)(command) if stage.imports_labels else command
        )
        for option in (
            from_fields(stage.params, option_name),
            click.option("--out", required=True, metavar="STORE", help=out_help),
            click.option("--in", "inputs", multiple=True, metavar=metavar, help=help),
        ):
            command = option(command)
        return command

    return decorate


# -- running ----------------------------------------------------------------------------------------------------------


def _run_or_plan(
    command: str,
    store: str,
    values: dict[str, Any],
    run: "Callable[..., list[Summary]]",
    plan: Callable[..., Any],
    labels_alone: bool = False,
) -> None:
    """Run the work and print its summary; in a dry run, print its plan."""
    options = {**cluster_options(values), "overwrite": values["overwrite"]}
    if values["dry_run"]:
        print_plan(command, plan(**options), values["as_json"])
        return
    with stage_progress(values["quiet"]) as report:
        summaries = run(**options, on_progress=report)
    done = any(summary.shards_written for summary in summaries)
    found = {
        "store": store,
        "status": "done" if done else "nothing to do",
        "stages": [vars(summary) for summary in summaries],
    }
    result(command, found, "\n".join([*map(str, summaries), f"-> {store}"]), values["as_json"])
    suggest_next(*next_words(command, store, labels_alone))


def next_words(command: str, store: str, labels_alone: bool = False) -> list[str]:
    """The command after `import`, a stage or `run`. Of labels without images no tiles can be cut."""
    if labels_alone:
        return ["unetprep", "preview", store, "--out", f"{Path(store.rstrip('/')).stem or 'store'}-preview.png"]
    order = [IMPORT, *STAGES]
    following = order[order.index(command) + 1 :] if command in order else []
    return ["unetprep", following[0], "--out", store] if following else ["unettrain", "fit", store]
