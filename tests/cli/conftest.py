"""Commands run as a user would, in a folder of their own, and files for them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result

from tests.synthetic import cell_image, cell_labels
from unetcli import train
from unetcli.prep import main as prep

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
