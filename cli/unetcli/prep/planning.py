"""Text and JSON output of estimates (`unetprep plan`, `--dry-run`)."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.estimate.forecast import Forecast, StageForecast
from unetprep.params import format_bytes

HEAD = ("", "arrays", "shards", "there", "tasks", "files", "to write", "a task", "a worker", "time")


def sides(shape: str) -> tuple[int, int, int, int]:
    """(c, z, y, x) from "y,x", "z,y,x" or "c,z,y,x"."""
    try:
        found = tuple(map(int, shape.split(",")))
    except ValueError:
        found = ()
    if not 2 <= len(found) <= 4 or min(found) < 1:
        raise InvalidInput(f"shape is {shape!r}", allowed="two to four numbers from 1, as z,y,x: 1,16384,16384")
    c, z, y, x = (1,) * (4 - len(found)) + found
    return c, z, y, x


def as_values(found: Forecast) -> dict[str, Any]:
    """For JSON."""
    totals = {"files": found.files, "bytes": found.bytes, "seconds": found.seconds, "peak_bytes": found.peak_bytes}
    return {**asdict(found), **totals}


def as_text(found: Forecast) -> str:
    """A table of the stages, what each writes, and what is not certain."""
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


def _workers(found: Forecast) -> str:
    bound = f", bounded to {format_bytes(found.memory_bytes)}" if found.memory_bytes else ""
    each = f"{found.threads} thread{'s' * (found.threads > 1)}"
    return f"{found.workers} worker process{'es' * (found.workers > 1)} of {each}{bound}"


def _row(stage: StageForecast) -> tuple[str, ...]:
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
