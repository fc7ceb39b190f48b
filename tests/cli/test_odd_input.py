"""Odd input of every kind ends in one message and an exit code: no traceback, and no waiting."""

import os
import random
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner

from unetcli.prep.main import main as prep
from unetcli.train.main import main as train

COMMANDS = (
    "prep import --image {} --labels lab.tif --out out.zarr",
    "prep import --image img.tif --labels {} --out out.zarr",
    "prep weights --in {} --out out.zarr",
    "prep plan import --image {} --labels lab.tif --out out.zarr",
    "prep lint {}",
    "prep info {}",
    "prep verify {}",
    "prep run {}",
    "prep fetch {}",
    "prep datasets {}",
    "prep fetch nuclei --from {} --out fetched",
    "prep preview {} --out out.png",
    "prep tiles --out {}",
    "prep relabel {} --labels lab.tif",
    "prep deform --out out.zarr --cluster {}",
    "prep deform --out out.zarr --log {} --fields 0",
    "train fit {}",
    "train draws {}",
    "train report {}",
    "train predict {} img.tif --out out.tif",
    "train evaluate {} lab.tif",
    "train evaluate lab.tif {}",
)
FILES = (
    "pipe", "pipe.tif", "pipe.npy", "pipe.png", "pipe.toml", "pipe.pt", "socket.tif", "zero.toml", "zero.tif",
    "loop.tif", "empty", "empty.tif", "empty.npy", "empty.png", "empty.toml", "empty.pt", "struct.npy", "text.npy",
    "flat.npy",
    "piped.zarr", "sparse.zarr", "group.zarr", "piped.run", "deep.toml", "folder", "missing.tif", "''", "'a\nb.tif'",
    "http://[", "http://h:x/a.tif", "s3://", "nosuch://a", "zip://x::empty", "memory://a/b",
)  # fmt: skip
OPTIONS = (
    "prep weights --in lab.tif --out out.zarr --sigma 1e9",
    "prep weights --in lab.tif --out out.zarr --formula falk2019 --rim-sigma 1e8",
    "prep weights --in lab.tif --out out.zarr --spacing 1e9,1",
    "prep weights --in lab.tif --out out.zarr --memory 99999999999999999999GB",
    "prep weights --in lab.tif --out out.zarr --workers 1000000",
    "prep weights --in lab.tif --out out.zarr --scheduler tcp://host",
    "prep tiles --out missing.zarr --margin 100000000",
    "prep tiles --out missing.zarr --random 1000000000000 --dry-run",
    "prep deform --out out.zarr --fields 1000000000000 --dry-run",
    "prep plan --shape 100000000,64,64",
    "prep preview missing.zarr --out out.png --at 1,2,3",
    "train fit missing.zarr --blur 1e6",
    "train fit missing.zarr --batch-size 1000000000",
    "train draws missing --steps 1000000000",
    "train predict missing img.tif --out out.tif --threads 1000000000",
)
CASES = [command.format(file) for command in COMMANDS for file in FILES]
CHOSEN = sorted(random.Random(14).sample(CASES, 60))


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of files that are not what they should be, and the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("unetprep.storage.object_store.RETRY_SECONDS", 0.1)
    tifffile.imwrite("img.tif", np.zeros((40, 40), np.uint8))
    tifffile.imwrite("lab.tif", np.eye(40, dtype=np.uint8))
    for name in ("pipe", "pipe.tif", "pipe.npy", "pipe.png", "pipe.toml", "pipe.pt"):
        os.mkfifo(name)
    for name in ("piped.zarr/zarr.json", "piped.run/config.json"):
        Path(name).parent.mkdir()
        os.mkfifo(name)
    for name in ("empty", "empty.tif", "empty.npy", "empty.png", "empty.toml", "empty.pt"):
        Path(name).touch()
    for name in ("zero.toml", "zero.tif"):
        Path(name).symlink_to("/dev/zero")
    Path("loop.tif").symlink_to("loop.tif")
    os.mknod("socket.tif", 0o140600)
    np.save("struct.npy", np.zeros((8, 8), [("a", "u1"), ("b", "f4")]))
    np.save("text.npy", np.full((8, 8), "abc"))
    np.save("flat.npy", np.zeros((0, 5), np.uint8))
    zarr.create_array("sparse.zarr", shape=(10**9, 10**9), chunks=(1024, 1024), dtype="u1")
    zarr.create_group("group.zarr")
    Path("deep.toml").write_text("a = " + "[" * 5000)
    Path("folder").mkdir()


@pytest.mark.usefixtures("odd")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", [*CHOSEN, *OPTIONS])
def test_odd_input_is_one_message(case: str) -> None:
    program, *words = shlex.split(case)
    said = CliRunner().invoke(prep if program == "prep" else train, words)
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    assert said.exit_code in (1, 2, 3, 4), said.output
    messages = re.findall("^error: ", said.stderr, re.MULTILINE | re.IGNORECASE)
    assert len(messages) == (0 if "faults;" in said.stdout else 1), said.output  # faults of a store are results
    assert "Traceback" not in said.output
