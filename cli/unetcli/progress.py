"""Progress on stderr, as a bar on a terminal and timestamped lines elsewhere; the same lines go to a log file."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

import click

from unetcli import stopping
from unetprep.credentials import mask_credentials
from unetprep.storage.output import check_log

SECONDS_BETWEEN_LINES = 5.0
PACKAGE, ENGINE = "unetprep", "unetprep.engine.run"  # loggers
TRAINER, LOCK = "unettrain", "unetprep.storage.lock"

OnProgress = Callable[..., None]  # (done, total), and further values to show, by name


@contextmanager
def progress(title: str, quiet: bool) -> Iterator[OnProgress]:
    """A function that reports progress inside of the block: (done, total), and values to show by name."""
    log = logging.getLogger(ENGINE)
    shows = [_lines(title, log.info)] if log.isEnabledFor(logging.INFO) else []

    def report(done: int, total: int, **shown: float) -> None:
        stopping.check()
        for show in shows:
            show(done, total, **shown)

    if not quiet and sys.stderr.isatty():
        with _bar(title) as bar:
            shows.append(bar)
            yield report
        return
    if not quiet:
        shows.append(_lines(title, _print))
    yield report


@contextmanager
def stage_progress(quiet: bool) -> Iterator[OnProgress]:
    """A function (stage, done, total) that reports the progress of one stage after the other."""
    current, show = "", None
    with ExitStack() as stack:

        def report(stage: str, done: int, total: int, **shown: float) -> None:
            nonlocal current, show
            if stage != current:
                stack.close()
                current, show = stage, stack.enter_context(progress(stage, quiet))
            if total and show:
                show(done, total, **shown)

        yield report


@contextmanager
def logging_to(log_file: str | None, quiet: bool) -> Iterator[None]:
    """Print messages of a cluster on stderr, of a quiet command only warnings; append all messages to a log file."""
    log, before = logging.getLogger(PACKAGE), logging.getLogger(PACKAGE).level
    printing = _PrintingHandler(logging.WARNING if quiet else logging.INFO)
    printing.addFilter(lambda record: record.name != ENGINE)
    handlers: list[logging.Handler] = [printing]
    if log_file:
        handlers.append(logging.FileHandler(check_log(log_file)))
        handlers[-1].setFormatter(_Masked("%(asctime)s %(levelname)s %(message)s"))
    for handler in handlers:
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        logging.getLogger(ENGINE).error("%s: %s", type(error).__name__, error)
        raise
    finally:
        log.setLevel(before)
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


@contextmanager
def messages(quiet: bool) -> Iterator[None]:
    """Print messages of the trainer and of a lock that is waited for on stderr, of a quiet command only warnings."""
    loggers = [logging.getLogger(name) for name in (TRAINER, LOCK)]
    printing, levels = _PrintingHandler(), [log.level for log in loggers]
    for log in loggers:
        log.addHandler(printing)
        log.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)
            log.removeHandler(printing)


class _Masked(logging.Formatter):
    """A formatter that masks passwords and signatures in URLs."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_credentials(super().format(record))


class _PrintingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _print(record.getMessage())


@contextmanager
def _bar(title: str) -> Iterator[OnProgress]:
    from rich.console import Console  # heavy: only when a bar is drawn
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[shown]}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, shown="")
        yield lambda done, total, **shown: bar.update(task, completed=done, total=total, shown=_text(shown))


def _lines(title: str, write: Callable[[str], None]) -> OnProgress:
    start = time.monotonic()
    last = start - SECONDS_BETWEEN_LINES

    def report(done: int, total: int, **shown: float) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - start) / done * (total - done) if done else 0
            until = f"{timedelta(seconds=round(left))} left" if left >= 1 else ""
            write(" ".join(part for part in (title, f"{done}/{total}", _text(shown), until) if part))

    return report


def _print(line: str) -> None:
    click.echo(f"{datetime.now().isoformat(' ', 'seconds')} {mask_credentials(line)}", err=True)


def _text(shown: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in shown.items())
