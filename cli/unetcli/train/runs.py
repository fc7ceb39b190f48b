"""Commands that read a run: `draws` and `report`."""

import json

import click

from unetcli.options import Examples, common, result

moved_store = click.option("--store", metavar="STORE", help="Path of the store if it has moved since the training.")


@click.command(
    cls=Examples,
    short_help="List the sampled augmentation of a run.",
    examples="unettrain draws runs/ds\nunettrain draws runs/ds --first 4200 --steps 10 > draws.jsonl",
)
@click.argument("run")
@click.option("--first", type=click.IntRange(0, 2**40), default=0, show_default=True, help="First step.")
@click.option("--steps", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Number of steps.")
@moved_store
@common
def draws(run: str, first: int, steps: int, store: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """List the augmentation parameters of each tile: one line of JSON for each tile, in the order of training.

    They are a function of seed, epoch and tile, so they are known for past and future steps without a record.
    TileStream.replay builds a batch from such lines.
    """
    from unettrain import sampled_draws

    found = [draw.as_dict() for draw in sampled_draws(run, range(first, first + steps), store)]
    result("draws", {"run": run, "draws": found}, "\n".join(map(json.dumps, found)), as_json)


@click.command(
    cls=Examples,
    short_help="Show a run in one HTML page.",
    examples="unettrain report runs/ds\nunettrain report runs/ds --out report.html",
)
@click.argument("run")
@click.option("--out", metavar="FILE", help="The page, .html; replaces an earlier report.  [default: RUN/report.html]")
@moved_store
@common
def report(run: str, out: str | None, store: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Show a run in one HTML page: the data, its weights and tiles, the training, the predictions and their scores."""
    from unettrain import report as write_report

    done = write_report(run, out, store)
    result("report", done.as_dict(), f"{done.as_text()}\n-> {done.path}", as_json)
