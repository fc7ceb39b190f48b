"""Progress lines of a command."""

import time

import pytest

from unetcli.progress import progress


def test_lines_tell_rate_and_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with progress("weights", quiet=False) as report:
        for done, now in ((1, 1010.0), (2, 1011.0), (10, 1100.0), (40, 1400.0)):
            clock[0] = now
            report(done, 40, **{"MP/s": 12.345678})
    lines = [line[20:] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "weights 1/40 MP/s 12.35 0:06:30 left",
        "weights 10/40 MP/s 12.35 0:05:00 left",
        "weights 40/40 MP/s 12.35",
    ]
