"""How commands end: exit codes of signals, and messages of errors of the system."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click
import pytest
import torch
from click.testing import CliRunner

from tests.cli.conftest import Run
from tests.trainer.conftest import build_store, draw_cells
from unetcli import entry, stopping
from unetcli.errors import exit_codes
from unetcli.options import Examples
from unetcli.system_errors import OS_ERRORS, describe_memory_error, describe_os_error, is_memory_error
from unetprep.errors import Stopped
from unettrain import training_loop
from unettrain.checkpoint import load_checkpoint

SMALL = "--base-channels 2 --steps 4 --threads 1 --validate-every 2 --log-every 1"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """ds.zarr, of two training images and one for validation."""
    return build_store(tmp_path / "ds.zarr", [draw_cells(50, 0), draw_cells(37, 1), draw_cells(40, 2, "val")])


def ends(*errors: BaseException, signals: tuple[int, ...] = ()) -> tuple[int, str]:
    """Exit code and message of a command in which these signals arrive and this error is raised."""

    @click.command()
    def command() -> None:
        with exit_codes():
            for number in signals:
                try:
                    signal.raise_signal(number)
                except KeyboardInterrupt:
                    if not errors:
                        raise
            raise errors[0]

    result = CliRunner().invoke(command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("predict", {}, "the same command starts from the beginning"),
        ("weights", {"dry_run": False}, "the same command goes on from here"),
        ("weights", {"dry_run": True}, "the same command starts from the beginning"),
        ("weights", {"overwrite": True}, "the same command starts from the beginning"),
        ("fit", {"overwrite": False}, "the same command goes on from here"),
        ("fit", {"overwrite": True}, "the same command goes on from here, without --overwrite"),
    ],
)
def test_a_stopped_command_says_what_it_does_when_repeated(name: str, params: dict[str, bool], said: str) -> None:
    assert Examples(name).when_repeated(params) == said


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in stopping.CODES}
    yield
    assert {number: signal.getsignal(number) for number in stopping.CODES} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_decides_the_exit_code_whatever_a_library_makes_of_it(handlers: None, number: int, code: int) -> None:
    assert ends(signals=(number,)) == (code, "error: stopped; the same command starts from the beginning\n")
    for error in (RuntimeError("unexpected pos 64 vs 0"), ImportError("KeyboardInterrupt:"), SystemError("_C raised")):
        assert ends(error, signals=(number,))[0] == code
    assert ends(OSError(errno.ENOSPC, "full", "last.pt"), signals=(number,))[0] == 1  # what could not be saved is told


def test_an_unexpected_exception_is_no_signal(handlers: None) -> None:
    @click.command()
    def command() -> None:
        with exit_codes():
            raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(command).exception, ZeroDivisionError)


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


PROGRAM = """
import os, signal, sys
from unetcli import entry

def send(number=signal.{name}):
    signal.raise_signal(number)

class Sending:  # while a module is imported
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            send()

sys.meta_path.insert(0, Sending())
sys.argv = ["unettrain", *{argv!r}]
{more}
entry.unettrain()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
@pytest.mark.parametrize("module", ["click", "unetcli.train"])
def test_a_signal_during_the_first_imports_has_its_exit_code(name: str, code: int, module: str) -> None:
    program = PROGRAM.format(name=name, module=module, argv=["--help"], more="")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "error: stopped before it began\n")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
def test_a_signal_outside_of_the_command_itself_has_its_exit_code(name: str, code: int) -> None:
    """While click parses; and a second one while the program leaves."""
    more = "import click, atexit; atexit.register(send); click.Command.make_context = lambda *a, **k: send()"
    program = PROGRAM.format(name=name, module="none", argv=["fit", "x"], more=more)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_an_exit_code_that_was_given_with_a_message_stays() -> None:
    """A signal while the message is printed changes nothing any more."""
    more = "import click; echo = click.echo\ndef echoing(*a, **k):\n    echo(*a, **k)\n    send()\nclick.echo = echoing"
    program = PROGRAM.format(name="SIGTERM", module="none", argv=["fit", "x", "--learning-rate", "0"], more=more)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "error: learning-rate is 0.0" in done.stderr


def test_entry_points_are_those_of_the_package() -> None:
    scripts = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'unetprep = "unetcli.entry:unetprep"' in scripts
    assert 'unettrain = "unetcli.entry:unettrain"' in scripts
    assert callable(entry.unetprep)


# -- errors of the system ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [*OS_ERRORS, errno.EDOM])
def test_an_error_of_the_system_names_the_file_and_what_to_do(number: int, tmp_path: Path) -> None:
    code, said = ends(OSError(number, os.strerror(number), str(tmp_path / "no" / "x.pt")))
    assert code == 1
    assert said.startswith(f"error: {tmp_path}/no/x.pt ")
    assert "\n  to do:   " in said
    assert "Errno" not in said
    assert not said.count("{")


def test_a_full_disk_is_told_with_what_is_free(tmp_path: Path) -> None:
    said = describe_os_error(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / ("a" * 300))))
    assert " cannot be written: the disk is full (" in said
    assert "iB are free)" in said
    assert describe_os_error(OSError(errno.EMFILE, "x")).startswith(
        "a file cannot be opened: this process has too many"
    )


def test_what_a_library_says_itself_is_left_as_it_is() -> None:
    assert ends(ConnectionError("s3://b/x: no answer from http://127.0.0.1:1")) == (
        1,
        "error: s3://b/x: no answer from http://127.0.0.1:1\n",
    )


def test_a_full_disk_while_saving_is_told_by_the_file_and_the_old_one_stays(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(f"unettrain fit ds.zarr {SMALL} --run r --steps 2")
    before = (tmp_path / "r" / "last.pt").read_bytes()

    def full(content: object, file: object) -> NoReturn:
        try:
            file._file = FullDisk()  # type: ignore[attr-defined]
            file.write(b"x")  # type: ignore[attr-defined]
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0") from None
        raise AssertionError

    monkeypatch.setattr(torch, "save", full)
    said = run(f"unettrain fit ds.zarr {SMALL} --run r", 1).stderr
    assert "error: r/best.pt cannot be written: the disk is full (" in said or "error: r/last.pt cannot be" in said
    assert "unexpected pos" not in said
    assert (tmp_path / "r" / "last.pt").read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["best.pt", "config.json", "last.pt", "log.jsonl"]


class FullDisk:
    def write(self, data: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory is not enough\n"),
        (MemoryError("Unable to allocate 3.55 PiB for an array"), "memory is not enough: 3.55 PiB more were needed\n"),
        (
            RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes"),
            "memory is not enough: 4000 bytes more were needed\n",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
            "the GPU's memory is not enough: 2.00 GiB more were needed\n",
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "the GPU's memory is not enough\n"),
    ],
)
def test_a_lack_of_memory_is_told_with_what_takes_less(error: Exception, said: str) -> None:
    code, message = ends(error)
    assert code == 1
    assert message.startswith(f"error: {said}  to do:   fewer --workers")
    assert describe_memory_error(error, "fit").startswith(f"{said}  to do:   a smaller batch-size, fewer base-channels")
    assert describe_memory_error(error, "predict").startswith(f"{said}  to do:   a smaller --tile")


def test_other_errors_are_no_lack_of_memory() -> None:
    assert not is_memory_error(RuntimeError("shapes do not fit"))
    assert not is_memory_error(OSError(errno.ENOSPC, "x"))


# -- what a training came to -------------------------------------------------------------------------------------------


def test_a_training_that_finds_nothing_is_warned_of_and_can_fail(run: Run, store: Path) -> None:
    line = f"unettrain fit ds.zarr {SMALL} --run r -q"
    done = run(f"{line} --json --steps 1 --validate-every 1 --learning-rate 1e-30")
    told = json.loads(done.stdout)
    assert told["val_iou"] < 0.5
    failed = run(f"{line} --json --steps 1 --validate-every 1 --learning-rate 1e-30 --fail-below 0.99", 1)
    assert json.loads(failed.stdout) == told | {"updates": 0}
    assert (
        f"error: the validation IoU is {told['val_iou']:.3f}\n  allowed: at least 0.99 (--fail-below)" in failed.stderr
    )
    assert "a lower learning-rate, a longer warmup-steps, or a clip-norm" in failed.stderr
    run(f"{line} --steps 1 --validate-every 1 --learning-rate 1e-30 --fail-below 0")


def test_warnings_go_to_stderr_to_json_and_to_the_report(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "training_warnings", lambda *about: ("the network has died",))
    monkeypatch.setattr(
        "unettrain.reporting.summary_section.training_warnings", lambda *about: ("the network has died",)
    )
    done = run(f"unettrain fit ds.zarr {SMALL} --run r --json -q")
    assert json.loads(done.stdout)["warnings"] == ["the network has died"]
    assert done.stderr.startswith("warning: the network has died\n  to do:   train again with a lower learning-rate")
    run("unettrain report r")
    assert "The network has died." in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.parametrize("value", ["-0.1", "1.5", "nan"])
def test_the_limit_of_a_failure_is_an_iou(run: Run, store: Path, value: str) -> None:
    assert (
        f"fail-below is {value}\n  allowed: an IoU, 0 to 1"
        in run(f"unettrain fit ds.zarr --fail-below {value}", 3).stderr
    )
