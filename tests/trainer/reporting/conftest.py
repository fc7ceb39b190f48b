"""A short run for the report's tests."""

import shutil
from pathlib import Path

import pytest

from tests.trainer.reporting.helpers import QUICK
from unettrain.training_loop import fit


@pytest.fixture(scope="session")
def default_run(default_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the default store, which has training and validation images; not to be written to."""
    run = tmp_path_factory.mktemp("report") / "run"
    fit(default_store, run, QUICK)
    return run


@pytest.fixture
def run(default_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_run, tmp_path / "run"))
