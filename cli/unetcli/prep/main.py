"""Command line `unetprep`: prepare labelled images for training."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial, wraps
from typing import Any, cast

import click

from unetcli.errors import INVALID
from unetcli.options import Command, Examples, ExamplesGroup, PlanGroup, chosen, common, from_fields, result
from unetcli.progress import progress, stage_progress, telling
from unetprep import __version__
from unetprep.errors import InvalidInput
from unetprep.parameter import Params, option_name
from unetprep.params import (
    DIMS_HELP,
    LINT_RULES,
    ClusterParams,
    DeformParams,
    ImportParams,
    LintParams,
    TilesParams,
    VerifyParams,
    WeightsParams,
)
from unetprep.storage.output import local_output

GROUP_EXAMPLES = """
unetprep weights --in labels.tif --out ds.zarr
unetprep import --image images/ --labels masks/ --out ds.zarr
unetprep run recipe.toml
"""


@click.group(
    cls=ExamplesGroup, examples=GROUP_EXAMPLES, context_settings={"max_content_width": 110, "show_default": True}
)
@click.version_option(__version__, prog_name="unetprep")
def main() -> None:
    """Prepare labelled images for U-Net training: weight maps, deformation fields and mirrored tiles, in a Zarr store.

    A command that is repeated does nothing; one that was interrupted goes on where it stopped.
    """


def reaching(command: Command) -> Command:
    """The option of every command that may be given URLs."""

    @wraps(command)
    def run(endpoint_url: str | None, **values: Any) -> Any:
        if endpoint_url:
            os.environ["AWS_ENDPOINT_URL_S3"] = endpoint_url
        return command(**values)

    help = "The S3 server of s3:// URLs, such as http://server:9000.  [default: as the environment says]"
    return cast(Command, click.option("--endpoint-url", metavar="URL", help=help)(run))


def running(command: Command) -> Command:
    """Options of every command that makes a part of a store."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Say what would be done, as unetprep plan does, and do nothing."),
        click.option("--overwrite", is_flag=True, help="Replace what stands there, made in another way."),
    ):
        command = option(command)
    return computing(command)


def computing(command: Command) -> Command:
    """Options of every command that computes what it writes."""
    for option in (
        click.option("--log", metavar="FILE", help="Add what happens to a log file."),
        click.option(
            "--cluster", metavar="TOML", help="A file, such as a recipe, whose section [cluster] says where it runs."
        ),
        click.option(
            "--memory",
            metavar="SIZE",
            help="What each process that works may take, such as 2GiB; a Slurm job.  [default: no limit]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1),
            help="Threads (local), worker processes, or Slurm jobs at most.  [default: one for each core; slurm: 1]",
        ),
        click.option(
            "--scheduler",
            help="local, processes, slurm, or the address of a Dask scheduler, tcp://HOST:PORT.  [default: local]",
        ),
    ):
        command = option(command)
    return common(reaching(_connecting(command)))


def _connecting(command: Command) -> Command:
    """One connection to a cluster for all stages of a command; its news on stderr, and all that happens in the log."""

    @wraps(command)
    def run(log: str | None, **values: Any) -> Any:
        from unetprep.engine.dask_cluster import kept_connections

        with telling(values["quiet"], log), kept_connections():
            return command(**values)

    return run


def _cluster(values: Mapping[str, Any], recipe: ClusterParams | None = None) -> ClusterParams:
    """Where the command runs: what the options say, else the file of --cluster, else the recipe."""
    from unetprep.engine.memory import share_memory
    from unetprep.recipe import read_cluster

    share_memory()
    params = read_cluster(values["cluster"]) if values["cluster"] else recipe or ClusterParams()
    given: dict[str, Any] = {k: values[k] for k in ("scheduler", "workers", "memory") if values[k]}
    return replace(params, **given)


def _work(command: str, values: Mapping[str, Any], cluster: ClusterParams | None = None, **work: Any) -> None:
    """Do the work (arguments of `unetprep.prepare.Work`) and report it; in a dry run, estimate it."""
    from unetprep.prepare import Work, plan, prepare

    todo, where = Work(**work), _cluster(values, cluster)
    if values["dry_run"]:
        from unetcli.prep.planning import as_text, as_values

        found = plan(todo, where, overwrite=values["overwrite"])
        result(command, {**as_values(found), "status": "planned"}, as_text(found), values["as_json"])
        return
    with stage_progress(values["quiet"]) as report:
        summaries = prepare(todo, where, overwrite=values["overwrite"], on_progress=report)
    written = sum(s.shards_written for s in summaries)
    done = {
        "store": todo.store,
        "status": "done" if written else "nothing to do",
        "stages": [vars(s) for s in summaries],
    }
    result(command, done, "\n".join([*map(str, summaries), f"-> {todo.store}"]), values["as_json"])


# -- fetch ------------------------------------------------------------------------------------------------------------


@main.command(
    cls=Examples,
    short_help="Fetch a public data set.",
    examples="unetprep fetch nuclei\nunetprep fetch nuclei --out data/nuclei\nunetprep fetch my-data.toml",
)
@click.argument("name")
@click.option("--out", help="Folder for the files.  [default: data/NAME]")
@common
def fetch(name: str, out: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Fetch a public data set, checking every file against its checksum.

    NAME is one of the manifests that come with unetprep, or the path of a manifest.
    """
    from unetprep.fetching import fetch_files

    fetched = fetch_files(name, str(local_output(out)) if out else None)
    lines = [f"{path}  ({what})" for path, what in fetched.files.items()]
    text = "\n".join([*lines, f"{fetched.title}; {fetched.terms}"])
    result("fetch", {"name": name, "files": fetched.files, "terms": fetched.terms}, text, as_json)


# -- lint -------------------------------------------------------------------------------------------------------------


@main.command(
    cls=Examples,
    short_help="Look for faults in labels.",
    examples="unetprep lint masks/\nunetprep lint labels.tif --ignore touching --tiny 20\n"
    "unetprep lint volume.tif --dims 3 --json",
)
@click.argument("labels", nargs=-1, required=True)
@from_fields(LintParams, option_name)
@click.option(
    "--ignore", "ignored", multiple=True, type=click.Choice(LINT_RULES), help="A rule to leave out; may be repeated."
)
@common
@reaching
def lint(labels: tuple[str, ...], ignored: tuple[str, ...], **values: Any) -> None:
    """Look for faults in labels before they are learnt from; nothing is changed.

    LABELS are label images, folders of them, or stores. Exit code 3 says that something was found.

    \b
    empty         no cell at all
    binary        one number for all cells: a mask
    float         real numbers
    overflow      negative or too large values; numbers that did not fit their integer type
    interpolated  fractions, or rims of values between those on both sides
    split         one cell in several pieces
    tiny          pieces of few pixels
    touching      cells without background between them, which is no fault if weights are to separate them
    """
    from unetcli.prep.linting import as_text, as_values
    from unetprep.linting.linter import lint

    with progress("lint", values["quiet"]) as report:
        found = lint(labels, chosen(LintParams, values), ignored, report)
    result("lint", as_values(found), as_text(found), values["as_json"])
    if any(image.findings for image in found):
        click.get_current_context().exit(INVALID)


# -- import -----------------------------------------------------------------------------------------------------------


@main.command(
    "import",
    cls=Examples,
    short_help="Import images and their labels into a store.",
    examples="unetprep import --image img.tif --labels mask.tif --out ds.zarr --test-fraction 0.25\n"
    "unetprep import --image images/ --labels masks/ --out ds.zarr",
)
@click.option("--image", "images", multiple=True, required=True, metavar="PATH", help="An image, or a folder of them.")
@click.option("--labels", multiple=True, required=True, metavar="PATH", help="Its labels, or a folder of them.")
@click.option("--out", required=True, metavar="STORE", help="The store; made if it is not there.")
@from_fields(ImportParams, option_name)
@running
def import_(images: tuple[str, ...], labels: tuple[str, ...], out: str, **values: Any) -> None:
    """Import images and their labels, paired by file name, of any sizes, grey or with channels.

    TIFF, PNG, JPEG, BMP, .npy and Zarr are read. Labels number the cells from 1; 0 is background.
    """
    _work("import", values, store=out, images=images, labels=labels, importing=chosen(ImportParams, values))


# -- the stages -------------------------------------------------------------------------------------------------------


# Of an import, where labels are all that is imported.
LABEL_OPTIONS = ("dims", "instances", "connectivity", "ignore_label")


@main.command(
    cls=Examples,
    short_help="Compute the weight maps.",
    examples="unetprep weights --in labels.tif --out ds.zarr\nunetprep weights --out ds.zarr --sigma 5 --w0 10",
)
@click.option("--in", "inputs", multiple=True, metavar="PATH", help="Labels to import first: files or folders.")
@click.option("--out", required=True, metavar="STORE", help="The store; made if labels are given and it is not there.")
@from_fields(WeightsParams, option_name)
@from_fields(ImportParams, option_name, only=LABEL_OPTIONS)
@running
def weights(inputs: tuple[str, ...], out: str, **values: Any) -> None:
    """Compute the weight map: how much each pixel counts, most between cells that nearly touch.

    Also writes the target, with a line of background between touching cells.
    """
    params = chosen(WeightsParams, values)
    paths = [path for path in inputs if path.rstrip("/") != out.rstrip("/")]
    importing = chosen(ImportParams, {name: values[name] for name in LABEL_OPTIONS})  # --spacing is that of the weights
    _work("weights", values, store=out, labels=paths, importing=importing, stages={"weights": params})


def _add_stage(name: str, kind: type[Params], create: bool, examples: str, short: str, help: str) -> None:
    """Add the command of a stage that works on the store alone; its options come from its parameters."""

    @main.command(name, cls=Examples, examples=examples, short_help=short, help=help)
    @click.option("--in", "inputs", multiple=True, metavar="STORE", help="The same store; may be left off.")
    @click.option("--out", required=True, metavar="STORE", help="The store that is read and written.")
    @from_fields(kind, option_name)
    @running
    def command(inputs: tuple[str, ...], out: str, **values: Any) -> None:
        for path in inputs:
            if path.rstrip("/") != out.rstrip("/"):
                raise InvalidInput(
                    f"--in is {path} and --out is {out}",
                    allowed="one store: this stage reads what stands in it, and writes beside it",
                    hint=f"leave --in off; images come in with: unetprep import --image ... --labels ... --out {out}",
                )
        _work(name, values, store=out, stages={name: chosen(kind, values)}, create=create)


_add_stage(
    "deform",
    DeformParams,
    create=True,
    examples="unetprep deform --out ds.zarr\nunetprep deform --out ds.zarr --fields 5000 --sigma 10 --seed 1",
    short="Draw random elastic deformations.",
    help="Draw random elastic deformations and keep them as coarse grids of displacements.",
)
_add_stage(
    "tiles",
    TilesParams,
    create=False,
    examples="unetprep tiles --out ds.zarr\nunetprep tiles --out ds.zarr --tile 316\n"
    "unetprep tiles --out ds.zarr --random 500 --index-only",
    short="Cut the images into overlap tiles.",
    help="Cut the images into the network's input tiles, mirroring what lies outside.",
)


# -- preview ----------------------------------------------------------------------------------------------------------


@main.command(
    cls=Examples,
    short_help="Draw what the weight map makes of an image.",
    examples="unetprep preview ds.zarr --out preview.png\n"
    "unetprep preview ds.zarr --out preview.png --image img --at 1024,2048 --size 256\n"
    "unetprep preview ds.zarr --out fields.png --fields",
)
@click.argument("store")
@click.option("--out", required=True, metavar="PNG", help="The picture.")
@click.option("--image", metavar="NAME", help="Which image.  [default: the first]")
@click.option("--z", type=int, help="Which slice.  [default: the middle one]")
@click.option(
    "--at",
    metavar="Y,X",
    help="Upper left corner of the window.  [default: where the border term is largest; with --fields the middle]",
)
@click.option(
    "--size", type=int, help="Side of the window, in pixels.  [default: 512; with --fields the tile they are made for]"
)
@click.option("--fields", is_flag=True, help="Draw what some deformation fields make of a tile instead.")
@click.option(
    "--field", "numbers", type=int, multiple=True, help="With --fields: which; may be repeated.  [default: 0, 1, 2]"
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier preview at --out.")
@common
@reaching
def preview(
    store: str,
    out: str,
    image: str | None,
    z: int | None,
    at: str | None,
    size: int | None,
    fields: bool,
    numbers: tuple[int, ...],
    overwrite: bool,
    **values: Any,
) -> None:
    """Draw a part of an image with its cells, target, distances and weights, as in Fig. 3 of the paper.

    With --fields it is a board of squares and a tile with its cells, as they are and as some fields deform them.
    """
    from unetcli.prep.previewing import preview_fields_file, preview_file
    from unetprep.previews.weights import View

    if numbers and not fields:
        raise click.UsageError("--field goes with --fields")
    view = View(image, z, _corner(at), size)
    if fields:
        moved = preview_fields_file(store, out, view, numbers or (0, 1, 2), overwrite)
        drawn = [field.number for field in moved.moved if field.number is not None]
        tile = {"image": moved.name, "z": moved.z, "y": moved.y0, "x": moved.x0, "tile": moved.tile_px, "fields": drawn}
        text = f"{moved.name}, fields {', '.join(map(str, drawn))}, a tile of {moved.tile_px}\n-> {out}"
        result("preview", {"store": store, "out": out, **tile}, text, values["as_json"])
        return
    shown = preview_file(store, out, view, overwrite)
    height, width = shown.weights.shape
    window = {"image": shown.name, "z": shown.z, "y": shown.y0, "x": shown.x0, "height": height, "width": width}
    text = f"{shown.name}, z {shown.z}, {height} x {width} pixels from ({shown.y0}, {shown.x0})\n-> {out}"
    result("preview", {"store": store, "out": out, **window}, text, values["as_json"])


def _corner(at: str | None) -> tuple[int, int] | None:
    if at is None:
        return None
    try:
        y, x = map(int, at.split(","))
    except ValueError:
        raise InvalidInput(f"at is {at!r}", allowed="two whole numbers, Y,X, such as 1024,2048") from None
    return y, x


# -- run and info -----------------------------------------------------------------------------------------------------


@main.command(
    cls=Examples,
    short_help="Do all of that, as a recipe says.",
    examples="unetprep run recipe.toml\nunetprep run recipe.toml --scheduler processes --workers 16 --memory 4GB",
)
@click.argument("recipe")
@click.option("--out", metavar="STORE", help="The store, instead of the one that the recipe names.")
@running
def run(recipe: str, out: str | None, **values: Any) -> None:
    """Do it all, as a recipe says: import, weights, deform and tiles.

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
    from unetprep.recipe import read_recipe

    found = read_recipe(recipe)
    files = {"images": found.images, "labels": found.labels, "importing": found.importing}
    _work("run", values, found.cluster, store=out or found.out, stages=found.stages, **files)


# -- plan -------------------------------------------------------------------------------------------------------------


@main.group(
    cls=PlanGroup,
    invoke_without_command=True,
    short_help="Say what a command would do, and do nothing.",
    examples="unetprep plan weights --in labels.tif --out ds.zarr --memory 2GiB\nunetprep plan run recipe.toml\n"
    "unetprep plan --shape 1,16384,16384 --cells 200000 --images 1000",
)
@click.option(
    "--shape", metavar="Z,Y,X", help="Sides of the images, in pixels, where there are no files yet; or c,z,y,x."
)
@click.option(
    "--cells", type=click.IntRange(1, 10**9), help="How many cells each of them holds.  [default: one in 1300 pixels]"
)
@click.option("--images", type=click.IntRange(1, 10**6), default=1, help="How many images.")
@click.option("--dtype", default="uint8", type=click.Choice(("uint8", "uint16", "float32")), help="Of the images.")
@click.option("--dims", default="2", type=click.Choice(("2", "3")), help=DIMS_HELP)
@running
def plan(shape: str | None, cells: int | None, images: int, dtype: str, dims: str, **values: Any) -> None:
    """Say what a command would do: tasks, files, bytes, memory and time. Nothing is written.

    The command and its options stand behind, as they would be without plan; --dry-run does the same. Bytes and time
    come from a sample of a few seconds, memory from the shapes. With --shape it is all of import, weights, deform and
    tiles for images of generated cells.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        return
    if shape is None:
        raise click.UsageError("name a command, such as: unetprep plan run recipe.toml; or --shape")
    from unetcli.prep.planning import as_text, as_values, sides
    from unetprep.prepare import plan_generated

    found = plan_generated(sides(shape), images, cells, dims, dtype, _cluster(values))
    result("plan", {"status": "planned", **as_values(found)}, as_text(found), values["as_json"])


def _add_plans() -> None:
    """Commands that write a store, as commands of plan: the same with --dry-run set."""
    for name in ("import", "weights", "deform", "tiles", "run"):
        command = main.commands[name]
        assert isinstance(command, Examples)
        plan.add_command(
            Examples(
                name,
                params=[option for option in command.params if option.name != "dry_run"],
                callback=partial(_invoke, command, dry_run=True),
                short_help=command.short_help,
                help=command.help,
                examples=command.examples.replace("unetprep ", "unetprep plan "),
            )
        )


def _invoke(command: click.Command, **values: Any) -> None:
    assert command.callback is not None
    command.callback(**values)


_add_plans()


@main.command(
    cls=Examples, short_help="Show what a store holds.", examples="unetprep info ds.zarr\nunetprep info ds.zarr --json"
)
@click.argument("store")
@common
@reaching
def info(store: str, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Show what a store holds and which stages have run."""
    from unetcli.prep.describing import as_text
    from unetprep.contents import describe

    found = describe(store)
    result("info", found, as_text(found), as_json)


# -- verify -----------------------------------------------------------------------------------------------------------


@main.command(
    cls=Examples,
    short_help="See whether a store is still what was written.",
    examples="unetprep verify ds.zarr\nunetprep verify ds.zarr --all --json\nunetprep verify ds.zarr --repair",
)
@click.argument("store")
@from_fields(VerifyParams, option_name)
@click.option("--repair", is_flag=True, help="Delete damaged shards; repeating the stages writes them again.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Threads.  [default: all cores]")
@common
@reaching
def verify(store: str, repair: bool, workers: int | None, **values: Any) -> None:
    """Look at every object of a store: is it there, intact, and what its inputs make it?

    Every document and every shard is read and held against its checksum; imported pixels against their digest; some
    shards are computed once more, the weights by the other engine. Exit code 3 says that something is at fault.

    \b
    unknown     an object that belongs to nothing
    missing     an object that should be there
    metadata    a document that is damaged, or says what cannot be
    damaged     a shard with a wrong checksum, or cut short
    values      a shard with values that cannot be
    digest      pixels other than those that were imported
    differs     a shard that is something else when it is computed once more
    unfinished  an array whose computation was stopped
    stale       an array made from something that has been replaced since
    """
    from unetcli.prep.verifying import as_text, as_values
    from unetprep.verification import verify

    with progress("verify", values["quiet"]) as report:
        params = chosen(VerifyParams, values)
        found = verify(store, params, workers or 0, repair=repair, on_progress=report)
    result("verify", as_values(store, found), as_text(store, found), values["as_json"])
    if found.faults:
        click.get_current_context().exit(INVALID)


# -- relabel ----------------------------------------------------------------------------------------------------------


@main.command(
    cls=Examples,
    short_help="Take edited labels, computing again only what they change.",
    examples="unetprep relabel ds.zarr --labels edited.tif\n"
    "unetprep relabel ds.zarr --labels edited.tif --image img --keep-class-weights",
)
@click.argument("store")
@click.option(
    "--labels", multiple=True, required=True, metavar="PATH", help="The labels of an image, edited; may be repeated."
)
@click.option("--image", metavar="NAME", help="Which image they belong to.  [default: the one of their name]")
@click.option(
    "--keep-class-weights", is_flag=True, help="Keep the class weights that the labels gave before they were edited."
)
@computing
def relabel(store: str, labels: tuple[str, ...], image: str | None, keep_class_weights: bool, **values: Any) -> None:
    """Take edited labels into a finished store, and compute again only what they change.

    The store is then what the edited labels would have given from the start. Class weights that came from the data
    change with nearly every edit of the training images, and all weights with them; --keep-class-weights keeps the
    numbers, as if they had been given with --class-weights.
    """
    from unetcli.prep.relabelling import as_text, as_values
    from unetprep.prepare import scheduler_of
    from unetprep.relabeling.relabeler import relabel

    with progress("relabel", values["quiet"]) as report:
        done = relabel(
            store,
            labels,
            scheduler_of(_cluster(values)),
            image=image,
            keep_class_weights=keep_class_weights,
            on_progress=report,
        )
    result("relabel", as_values(store, done), as_text(store, done), values["as_json"])
