"""Command `paper-check`."""

import click

from unetcli.options import Examples, common, result
from unetprep.params import DeformParams
from unettrain.errors import Failure


@click.command(
    "paper-check",
    cls=Examples,
    short_help="Compare this code with the paper.",
    examples="unettrain paper-check\nunettrain paper-check --json",
)
@common
def paper_check(as_json: bool, quiet: bool, verbose: bool) -> None:
    """Compare this code with the paper and the authors' 2015 release, line by line, by running it.

    Each line says what the source says and what was found: PASS; DIFFERS, on purpose, with the reason; or FAIL, with
    exit code 1.
    """
    from unettrain import check_against_paper

    fields = DeformParams()
    done = check_against_paper(fields.sigma_px, fields.nodes())
    result("paper-check", done.as_dict(), done.as_text(), as_json)
    if done.failed:
        raise Failure(f"{len(done.failed)} lines fail: {', '.join(done.failed)}")
