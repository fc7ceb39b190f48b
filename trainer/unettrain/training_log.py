"""Training log, log.jsonl: one JSON object for each logged step."""

import json
from pathlib import Path

from unetprep.annotations import conforms

Record = dict[str, float]


def parse_record(line: str) -> Record | None:
    """The record in a line of a log; None for a line that `fit` did not write, or did not finish."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_record = conforms(found, Record) and {"step", "loss"} <= found.keys()
    return found if is_record else None


def read_log(path: Path) -> list[Record]:
    """The records of a log up to the first invalid line, such as the last one of a killed process; [] without a log."""
    records: list[Record] = []
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else []:
        record = parse_record(line)
        if record is None:
            break
        records.append(record)
    return records
