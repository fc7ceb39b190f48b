"""Reading of log.jsonl."""

from pathlib import Path

import pytest

from unettrain.training_log import parse_record, read_log


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[1]",
        "7",
        '{"step": 1}',
        '{"loss": 1}',
        '{"step": 1, "loss": "2"}',
        '{"step": true, "loss": 2}',
        "[" * 9999,
    ],
)
def test_a_line_that_fit_did_not_write_is_no_record(line: str) -> None:
    assert parse_record(line) is None


def test_records_end_at_the_first_invalid_line(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert read_log(log) == []
    log.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4, "val_iou": 1}\n{"step": 3, "lo')
    assert read_log(log) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4, "val_iou": 1}]
    log.write_text('{"step": 1, "loss": 0.5}\nmine\n{"step": 2, "loss": 0.4}\n')
    assert read_log(log) == [{"step": 1, "loss": 0.5}]
