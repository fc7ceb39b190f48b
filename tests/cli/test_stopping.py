"""Signals that stop a command."""

import errno
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import SMALL, Run, ends
from unetcli import stopping
from unetprep.errors import Stopped
from unettrain.checkpoint import load_checkpoint


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_decides_the_exit_code_whatever_a_library_makes_of_it(handlers: None, number: int, code: int) -> None:
    assert ends(signals=(number,)) == (code, "error: stopped; the same command starts from the beginning\n")
    for error in (RuntimeError("unexpected pos 64 vs 0"), ImportError("KeyboardInterrupt:"), SystemError("_C raised")):
        assert ends(error, signals=(number,))[0] == code
    assert ends(OSError(errno.ENOSPC, "full", "last.pt"), signals=(number,))[0] == 1  # what could not be saved is told


def test_a_signal_that_a_library_swallows_ends_the_command_at_its_next_progress(handlers: None) -> None:
    with pytest.raises(Stopped), stopping.stoppable():  # noqa: PT012
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        stopping.check()


def test_a_signal_that_is_ignored_from_the_start_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping.stoppable():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("writing", ["best.pt", "last.pt", "config.json", "log.jsonl", ".lock"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_while_a_file_is_written_stops_a_training_which_goes_on_to_the_same(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writing: str, number: int, code: int
) -> None:
    replace, link, sent = os.replace, os.link, list[int]()
    run(f"unettrain fit ds.zarr {SMALL} --run straight")
    if writing == "log.jsonl":
        run(f"unettrain fit ds.zarr {SMALL} --run r --steps 2")
        with (tmp_path / "r" / "log.jsonl").open("a") as file:
            file.write('{"step": 3')

    def sending(source: Path, target: Path) -> None:
        if Path(target).name == writing and not sent:
            sent.append(number)
            signal.raise_signal(number)
        (link if writing == ".lock" else replace)(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link" if writing == ".lock" else "replace", sending)
        assert "stopped; the same command" in run(f"unettrain fit ds.zarr {SMALL} --run r", code).stderr
    assert sent
    assert not (tmp_path / "r").exists() or not [p for p in (tmp_path / "r").iterdir() if p.name.startswith(".")]
    run(f"unettrain fit ds.zarr {SMALL} --run r")
    for name in ("best.pt", "last.pt"):
        found, expected = (load_checkpoint(tmp_path / folder / name) for folder in ("r", "straight"))
        torch.testing.assert_close(found.weights, expected.weights, rtol=0, atol=0)
        torch.testing.assert_close(found.optimizer, expected.optimizer, rtol=0, atol=0)
