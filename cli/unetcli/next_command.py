"""The command to run next, which a command names on stderr when it has ended."""

import shlex

import click

from unetprep.credentials import mask_credentials

WORDS = "unetcli.words"  # of the command line, in the context of click


def suggest_next(*words: str) -> None:
    """Print a command that can be copied as the last line on stderr; with --quiet, --json or no words, nothing."""
    params = click.get_current_context().params
    if words and not (params["quiet"] or params["as_json"]):
        click.echo(f"next: {mask_credentials(shlex.join(words))}", err=True)


def remember_words(ctx: click.Context, args: list[str]) -> None:
    """Keep the words of the command line, for `suggest_without_plan`."""
    ctx.meta.setdefault(WORDS, [ctx.info_name or "", *args])


def suggest_without_plan() -> None:
    """Suggest the command that was planned: without the word plan, or without --dry-run."""
    program, *words = click.get_current_context().meta.get(WORDS, [""])
    if not words or "--shape" in words:
        return
    words = words[1:] if words[0] == "plan" else [word for word in words if word != "--dry-run"]
    suggest_next(program, *words)
