"""`unetprep plan`, and the output of estimates."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from unetcli.next_command import suggest_without_plan
from unetcli.options import Examples, PlanGroup, result
from unetcli.param_types import Choice
from unetcli.prep.options import cluster_options, with_store_options
from unetprep.errors import InvalidInput
from unetprep.parameter import as_text as value_as_text
from unetprep.parameter import integers
from unetprep.params import DIMS_HELP, format_bytes

if TYPE_CHECKING:
    from unetprep.estimate.forecast import Forecast, StageForecast

HEAD = ("", "arrays", "shards", "existing", "tasks", "files", "to write", "per task", "per worker", "time")


EXAMPLES = """
unetprep plan weights --in labels.tif --out ds.zarr --memory 2GiB
unetprep plan run recipe.toml
unetprep plan --shape 1,16384,16384 --cells 200000 --images 1000
"""


def plan_group(planned: Sequence[Examples]) -> click.Group:
    """The command `plan`, with a command for each of those that it can estimate: the same with --dry-run set."""
    group = PlanGroup(
        "plan",
        params=plan_synthetic.params,
        callback=plan_synthetic.callback,
        invoke_without_command=True,
        short_help="Print what a command would do, and do nothing.",
        help=plan_synthetic.help,
        examples=EXAMPLES,
    )
    for command in planned:
        assert command.callback is not None
        group.add_command(
            Examples(
                command.name,
                params=[option for option in command.params if option.name != "dry_run"],
                callback=partial(command.callback, dry_run=True),
                short_help=command.short_help,
                help=command.help,
                examples=command.examples.replace("unetprep ", "unetprep plan "),
            )
        )
    return group


@click.command()
@click.option("--shape", metavar="Z,Y,X", help="Sides in pixels of images that do not exist yet; or c,z,y,x.")
@click.option("--cells", type=click.IntRange(1, 10**9), help="Cells in each of them.  [default: one in 1300 pixels]")
@click.option("--images", type=click.IntRange(1, 10**6), default=1, help="How many images.")
@click.option("--dtype", default="uint8", type=Choice(("uint8", "uint16", "float32")), help="Of the images.")
@click.option("--dims", default="2", type=Choice(("2", "3")), help=DIMS_HELP)
@with_store_options
def plan_synthetic(shape: str | None, cells: int | None, images: int, dtype: str, dims: str, **values: Any) -> None:
    """Print what a command would do: tasks, files, bytes, memory and time. Nothing is written.

    The command and its options follow, as they would be without plan; --dry-run does the same. Bytes and time come from
    a sample of a few seconds, memory from the shapes. With --shape it is all of import, weights, deform and tiles for
    images of generated cells.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    if shape is None:
        raise click.UsageError("name a command, such as: unetprep plan run recipe.toml; or --shape")
    import unetprep

    found = unetprep.plan_synthetic(sides(shape), images, cells, int(dims), dtype, **cluster_options(values))
    print_plan("plan", found, values["as_json"])


def sides(shape: str) -> tuple[int, int, int, int]:
    """(c, z, y, x) from "y,x", "z,y,x" or "c,z,y,x"."""
    found = integers(shape)
    if not isinstance(found, tuple) or not 2 <= len(found) <= 4 or min(found) < 1:
        raise InvalidInput(
            f"shape is {value_as_text(found)}", allowed="two to four numbers from 1, as z,y,x: 1,16384,16384"
        )
    c, z, y, x = (1,) * (4 - len(found)) + found
    return c, z, y, x


# -- output -----------------------------------------------------------------------------------------------------------


def print_plan(command: str, found: "Forecast", as_json: bool) -> None:
    """Print an estimate as the result of a command."""
    result(command, {**as_values(found), "status": "planned"}, as_text(found), as_json)
    suggest_without_plan()


def as_values(found: "Forecast") -> dict[str, Any]:
    """The estimate as values for JSON."""
    totals = {"files": found.files, "bytes": found.bytes, "seconds": found.seconds, "peak_bytes": found.peak_bytes}
    return {**asdict(found), **totals}


def as_text(found: "Forecast") -> str:
    """The estimate as text: a table of the stages, the arrays that each writes, and assumptions."""
    rows = [HEAD, *(_row(stage) for stage in found.stages)]
    if len(found.stages) > 1:
        files, to_write = str(found.files), format_bytes(found.bytes)
        rows.append(
            ("total", "", "", "", "", files, to_write, "", format_bytes(found.peak_bytes), _time(found.seconds))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(v.rjust(w) for v, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
    for stage in found.stages:
        lines += [
            f"  {array.path}: {array.shards - array.there} of {array.shards} shards, {format_bytes(array.bytes)}"
            for array in stage.arrays
            if array.bytes > 0.01 * stage.bytes and array.shards > array.there
        ]
    lines.append(_workers(found))
    lines += [f"guess: {guess}" for guess in dict.fromkeys(guess for stage in found.stages for guess in stage.guesses)]
    return "\n".join([*lines, "nothing was written"])


def _workers(found: "Forecast") -> str:
    bound = f", bounded to {format_bytes(found.memory_bytes)}" if found.memory_bytes else ""
    each = f"{found.threads} thread{'s' * (found.threads > 1)}"
    return f"{found.workers} worker process{'es' * (found.workers > 1)} of {each}{bound}"


def _row(stage: "StageForecast") -> tuple[str, ...]:
    return (
        stage.stage,
        str(sum(array.arrays for array in stage.arrays)),
        str(stage.shards_total),
        str(stage.shards_there),
        str(stage.tasks),
        str(stage.files),
        format_bytes(stage.bytes),
        format_bytes(stage.working_set_bytes),
        format_bytes(stage.peak_bytes),
        _time(stage.seconds),
    )


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
