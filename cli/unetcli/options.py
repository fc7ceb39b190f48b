"""Options shared by all commands, and options generated from parameter classes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any, get_args, get_type_hints

import click

from unetcli.errors import FROM_THE_BEGINNING, exit_codes
from unetcli.next_command import remember_words
from unetcli.param_types import Choice, complete_paths, suggesting
from unetprep.credentials import mask_credentials
from unetprep.parameter import value_from

SCHEMA_VERSION = 1
RESUMED = (
    "fetch",
    "import",
    "weights",
    "deform",
    "tiles",
    "run",
    "relabel",
    "fit",
)  # commands that continue where they stopped
GOES_ON = "the same command goes on from here"

Command = Callable[..., Any]


class WithExamples(click.Command):
    """A command whose help page begins with examples."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        complete_paths(self.params)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of a command line; for an unknown option, suggest the nearest."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            options = [name for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)]
            message = f"No such option {error.option_name!r}."
            raise click.UsageError(suggesting(message, error.option_name, options), ctx) from None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help page: examples first, one a line."""
        with formatter.section("Examples"):
            for line in self.examples.strip().splitlines():
                formatter.write(f"  {line.strip()}\n")
        formatter.write("\n")
        super().format_help(ctx, formatter)


class Examples(WithExamples):
    """A command whose errors become exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with exit_codes(ctx.params.get("verbose", False), self.when_repeated(ctx.params)):
            return super().invoke(ctx)

    def when_repeated(self, params: Mapping[str, Any]) -> str:
        """What the command does when it is repeated after it was stopped."""
        if self.name == "predict":  # an output that is complete is not made again, also with --overwrite
            return GOES_ON
        if self.name not in RESUMED or params.get("dry_run") or (params.get("overwrite") and self.name != "fit"):
            return FROM_THE_BEGINNING
        return GOES_ON + (", without --overwrite" if params.get("overwrite") else "")


class ExamplesGroup(WithExamples, click.Group):
    """A group that lists its commands in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order in which they were added."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of a command line, which a plan repeats without its own."""
        remember_words(ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; for an unknown one, suggest the nearest."""
        name = args[0]
        if not name.startswith("-") and name not in self.commands and not ctx.resilient_parsing:
            raise click.UsageError(suggesting(f"No such command {name!r}.", name, self.commands), ctx)
        return super().resolve_command(ctx, args)


class PlanGroup(ExamplesGroup):
    """A group that is also a command, whose errors become exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the group or one of its commands."""
        with exit_codes(verbose=ctx.params.get("verbose", False)):
            return super().invoke(ctx)


def from_fields(
    kind: type, name_of: Callable[[str], str], only: tuple[str, ...] = (), unset: str = ""
) -> Callable[[Command], Command]:
    """One option for each field of a parameter class (or `only` some), with its default, type, choices and help.

    With `unset`, which says in the help what holds instead, the value of an option that is not given is None.
    """

    def decorate(command: Command) -> Command:
        types = get_type_hints(kind)
        for field in reversed(fields(kind)):
            if not only or field.name in only:
                command = _option(field, name_of(field.name), types[field.name], unset)(command)
        return command

    return decorate


def _option(field: Field[Any], name: str, annotated: Any, unset: str = "") -> Callable[[Command], Command]:
    kind = next((t for t in get_args(annotated) if t is not type(None)), annotated)  # of float | None: float
    choices = tuple(map(str, field.metadata["choices"]))
    kind = str if field.metadata.get("parse") else kind
    if unset:
        return click.option(
            f"--{name}",
            field.name,
            type=Choice(choices) if choices else kind,
            default=None,
            help=f"{field.metadata['help']}  [default: {unset.format(default=field.default)}]",
        )
    return click.option(
        f"--{name}/--no-{name}" if kind is bool else f"--{name}",
        field.name,
        type=Choice(choices) if choices else kind,
        default=str(field.default) if choices and field.default is not None else field.default,
        show_default=field.default not in ("", None),
        help=field.metadata["help"],
    )


def chosen(kind: type, values: Mapping[str, Any]) -> Any:
    """The parameter object from the values of its options."""
    return kind(**{f.name: value_from(f, values[f.name]) for f in fields(kind) if f.name in values})


def common(command: Command) -> Command:
    """Options of every command that prints a result."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="With an error, also print its traceback."),
        click.option("-q", "--quiet", is_flag=True, help="No progress on stderr."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout."),
    ):
        command = option(command)
    return command


def result(command: str, values: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a result on stdout, as text or as one JSON object; passwords in URLs are masked."""
    document = {"schema_version": SCHEMA_VERSION, "command": command, **values}
    click.echo(mask_credentials(json.dumps(document, indent=1) if as_json else text))
