"""Blocks of Markdown pages that are run: `sh`, `console`, `python`, and `toml` that begins with `# NAME.toml`."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from unetcli.prep import main as prep
from unetcli.train import main as train

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))
PROGRAMS: dict[str, click.Group] = {"unetprep": prep.main, "unettrain": train.main}
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUNNABLE = ("sh", "bash", "console", "python", "toml")
FILE = re.compile(r"# (\S+\.toml)\n")
OURS = re.compile(r"\b(?:unetprep|unettrain) [a-z][^&|;'\n]*")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `line` is the line of its first command."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """PAGE:LINE."""
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """The runnable blocks of a page, in order."""
    text = (ROOT / page).read_text()
    return [
        Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2])
        for match in FENCE.finditer(text)
        if match[1] in RUNNABLE and (match[1] != "toml" or FILE.match(match[2]))
    ]


def commands_of(block: Block) -> list[str]:
    """The commands of a shell block, one a line, without comments; of a `console` block those behind `$ `.

    A script, which begins with `#!`, is one command.
    """
    if block.text.startswith("#!"):
        return [block.text]
    text = re.sub(r"\\\n\s*", "", block.text)
    lines = [line.strip() for line in text.splitlines()]
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line and not line.startswith("#")]


def words_of(command: str) -> list[str]:
    """The words of a command, as a shell would split it."""
    return shlex.split(command, comments=True)


def ours_in(command: str) -> list[list[str]]:
    """The words of each `unetprep ...` and `unettrain ...` within a command of another program, or within a script.

    Variables and the output of commands become the word 1.
    """
    if command.split()[0] in PROGRAMS:
        words = words_of(command)
        return [words[: words.index(">")] if ">" in words else words]
    text = re.sub(r"\\\n\s*", "", command)
    text = re.sub(r"\$\([^)]*\)|\$\w+|\$\{\w+\}", "1", text)
    return [words_of(match[0]) for match in OURS.finditer(text)]


def parse(words: list[str]) -> None:
    """Parse a command line without running it; click.UsageError for an option or a command that does not exist."""
    command: click.Command = PROGRAMS[words[0]]
    context, rest = click.Context(command, info_name=words[0]), words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.parse_args(context, rest)
