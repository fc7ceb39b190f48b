"""Commands run as a user would, in a folder of their own, and files for them."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result

from tests.synthetic import cell_image, cell_labels
from tests.trainer.conftest import build_store, draw_cells
from unetcli import stopping
from unetcli.errors import exit_codes
from unetcli.prep import main as prep
from unetcli.train import main as train

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line, such as "unetprep info ds.zarr", and expect an exit code."""
    monkeypatch.chdir(tmp_path)

    def command(line: str, code: int = 0) -> Result:
        program, *words = line.split()
        main = {"unetprep": prep.main, "unettrain": train.main}[program]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == code, f"{line}: {result.output}"
        return result

    return command


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """img.tif and labels.tif: one image of 40 cells, many of which touch."""
    labels = cell_labels((140, 110), 40)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    tifffile.imwrite(tmp_path / "img.tif", cell_image(labels))
    return tmp_path


def labels_of(folder: Path) -> np.ndarray:
    """The labels of the fixture above."""
    return np.asarray(tifffile.imread(folder / "labels.tif"))


SMALL = "--base-channels 2 --steps 4 --threads 1 --validate-every 2 --log-every 1 --schedule constant"


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


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in stopping.CODES}
    yield
    assert {number: signal.getsignal(number) for number in stopping.CODES} == before
