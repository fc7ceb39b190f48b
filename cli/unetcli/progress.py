"""Progress on stderr: a bar on a terminal, plain timestamped lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import click

SECONDS_BETWEEN_LINES = 5.0

OnProgress = Callable[..., None]  # (done, total), and anything to show behind, by name


@contextmanager
def progress(title: str, quiet: bool) -> Iterator[OnProgress]:
    """A function to report progress with, as long as the block lasts."""
    if quiet:
        yield lambda done, total, **shown: None
    elif sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        yield _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[OnProgress]:
    from rich.console import Console  # heavy: only when a bar is drawn
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[shown]}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, shown="")
        yield lambda done, total, **shown: bar.update(task, completed=done, total=total, shown=_text(shown))


def _lines(title: str) -> OnProgress:
    last = time.monotonic() - SECONDS_BETWEEN_LINES

    def report(done: int, total: int, **shown: float) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            _line(f"{title} {done}/{total} {_text(shown)}".rstrip())

    return report


def _text(shown: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in shown.items())


def _line(text: str) -> None:
    click.echo(f"{datetime.now().isoformat(' ', 'seconds')} {text}", err=True)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _line(record.getMessage())


@contextmanager
def news(package: str, quiet: bool) -> Iterator[None]:
    """Show what a package logs, as lines; of a quiet command warnings alone."""
    logger, lines = logging.getLogger(package), _Lines(logging.WARNING if quiet else logging.INFO)
    logger.addHandler(lines)
    before, logger.propagate = logger.propagate, False
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
        logger.propagate = before
