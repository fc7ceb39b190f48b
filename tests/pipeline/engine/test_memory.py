"""How much memory tasks take is what was said before, and a worker stays within its bound."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL, save
from unetprep.engine import memory as budget
from unetprep.engine.importing import import_images
from unetprep.engine.memory import Worker
from unetprep.engine.run import run_stage
from unetprep.errors import InvalidInput
from unetprep.params import ImportParams, WeightsParams, parse_bytes
from unetprep.sources import open_source
from unetprep.sources.cells import Cells, brightness
from unetprep.sources.formats import tiff
from unetprep.sources.memory import kept_bytes, reading_bytes
from unetprep.stages import STAGES
from unetprep.store import Store

MIB = 2**20
NOISE = 8 * MIB  # small objects, whatever the block
KEPT = 24 * MIB  # what earlier work has left to be used again, which is not measured; it differs by the build of Python
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux")


def cells(folder: Path, shape: tuple[int, ...], number: int, ending: str = "npy") -> Path:
    """Files labels.* and image.* in a folder."""
    labels = Cells(shape, number, 0.5).window((0,) * len(shape), shape)
    folder.mkdir(exist_ok=True)
    save(folder / f"labels.{ending}", labels if ending == "npy" else labels.astype(np.uint16))
    save(folder / f"image.{ending}", brightness(labels, [0]))
    return folder


def measured(folder: Path, dims: int, names: list[str]) -> list[dict[str, Any]]:
    url = str(folder / "ds.zarr")
    images, labels = [str(folder / "image.npy")], [str(folder / "labels.npy")]
    import_images(url, images, labels, ImportParams(dims=dims), LOCAL)
    words = [sys.executable, "-m", "tests.pipeline.engine.measuring", url, str(folder), *names]
    root = Path(__file__).parents[3]
    said = subprocess.run(words, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    found: list[dict[str, Any]] = json.loads(said.stdout)
    return found


@linux
@pytest.mark.timeout(1800)  # seconds; it computes every stage several times, minutes on a busy machine
@pytest.mark.parametrize(
    ("dims", "shape", "names", "num_found"),
    [
        (2, (2100, 1500), ["import", "weights", "deform", "tiles", "edt", "components"], 26),
        (3, (66, 300, 270), ["import", "weights", "components"], 13),
    ],
)
def test_tasks_take_what_was_said(
    tmp_path: Path, dims: int, shape: tuple[int, ...], names: list[str], num_found: int
) -> None:
    found = measured(cells(tmp_path / "files", shape, 4000 if dims == 2 else 400), dims, names)
    for row in found:
        assert row["measured"] <= 1.1 * row["at_most"] + NOISE, row
        assert row["measured"] - row["said"] <= max(0.25 * row["measured"], NOISE), row
        assert row["said"] - row["measured"] <= max(0.25 * row["measured"], KEPT), row
    assert len(found) == num_found
    assert max(row["measured"] for row in found) > 5 * min(row["measured"] for row in found)  # small and large tasks


@pytest.mark.parametrize(
    ("ending", "options", "most_bytes"),
    [
        ("png", {}, 2 * 1000 * 800),  # decoded whole: by Pillow, and as an array
        ("npy", {}, 0),
        ("zarr", {}, 8 * MIB),
    ],
)
def test_what_is_decoded_whole_counts(tmp_path: Path, ending: str, options: dict[str, object], most_bytes: int) -> None:
    source = open_source(save(tmp_path / f"a.{ending}", np.ones((1000, 800), np.uint8)))
    whole, part = reading_bytes(source, (1, 1, 1000, 800)), reading_bytes(source, (1, 1, 100, 100))
    assert part <= whole <= most_bytes
    assert (kept_bytes(source) > 0) == (ending == "png")
    assert (part > 0) == (ending != "npy")


def test_a_tiff_of_one_strip_is_decoded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tifffile

    pixels = np.ones((1000, 800), np.uint16)
    tifffile.imwrite(tmp_path / "one.tif", pixels, rowsperstrip=1000)
    tifffile.imwrite(tmp_path / "many.tif", pixels, rowsperstrip=10)
    one, many = (reading_bytes(open_source(str(tmp_path / f"{n}.tif")), (1, 1, 20, 800)) for n in ("one", "many"))
    assert one == many >= pixels.nbytes  # small files are decoded whole
    monkeypatch.setattr(tiff, "SMALL_TIFF_BYTES", 0)
    one, many = (reading_bytes(open_source(str(tmp_path / f"{n}.tif")), (1, 1, 20, 800)) for n in ("one", "many"))
    assert one >= pixels.nbytes > 5 * many > 0


def test_the_block_follows_from_the_memory_and_a_refusal_names_the_least(tmp_path: Path) -> None:
    files = cells(tmp_path / "files", (1500, 1300), 200)
    url, params = str(tmp_path / "ds.zarr"), WeightsParams(class_weights=(1, 2))
    import_images(url, [], [str(files / "labels.npy")], ImportParams(), LOCAL)
    run_stage(Store.open(url), STAGES["weights"], params, LOCAL)
    jobs = list(STAGES["weights"].steps[1](Store.open(url), params))
    for threads in (1, 4):
        with pytest.raises(InvalidInput, match="memory is 100MiB, which is too little") as refused:
            Worker(100 * MIB, threads).fit(jobs)
        assert ("--workers" in str(refused.value)) == (threads > 1)
        least = parse_bytes(str(refused.value).partition("--memory ")[2].partition(" or more")[0])
        blocks = [job.block for job in Worker(least, threads).fit(jobs)]
        assert blocks[0] is not None
        assert blocks[0] < jobs[0].outputs[0].shard
        with pytest.raises(InvalidInput, match="allowed: --memory"):
            Worker(least - MIB, threads).fit(jobs)
        roomy = Worker(4 * least, threads).fit(jobs)
        assert [job.block for job in roomy] == [job.outputs[0].shard for job in jobs]
        assert [job.block for job in Worker(None, threads).fit(jobs)] == [None]


# -- near the least that is allowed -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files and stores of noisy images, in 2D and in 3D, with weights of the first."""
    folder = tmp_path_factory.mktemp("least")
    for dims, shape in ((2, (700, 900)), (3, (34, 150, 140))):
        files = cells(folder / f"files{dims}", shape, 200)
        paths = [str(files / "image.npy")], [str(files / "labels.npy")]
        import_images(str(folder / f"{dims}.zarr"), *paths, ImportParams(dims=dims), LOCAL)
    run_stage(Store.open(str(folder / "2.zarr")), STAGES["weights"], WeightsParams(class_weights=(1, 2)), LOCAL)
    return folder


@linux
@pytest.mark.parametrize(
    "line",
    [
        "import --image files2/image.npy --labels files2/labels.npy --out new.zarr --workers 1",
        "import --image files3/image.npy --labels files3/labels.npy --dims 3 --out new3.zarr --workers 2",
        "weights --out 3.zarr --workers 1",
        "weights --out 2.zarr --engine edt --overwrite --workers 2",
        "deform --out 2.zarr --fields 1000 --workers 1",
        "deform --out 3.zarr --fields 20 --dense float32 --workers 2",
        "tiles --out 2.zarr --tile 188 --workers 2",
    ],
)
def test_a_command_stays_within_the_least_memory_that_it_allows(prepared: Path, line: str) -> None:
    words = [f"{prepared}/{w}" if w.startswith("files") or w.endswith(".zarr") else w for w in line.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.pipeline.engine.least_memory", *words]
    said = subprocess.run(command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    least, peak = json.loads(said.stdout.splitlines()[-1])
    assert peak <= least


def test_the_fixed_part_is_measured_where_it_is_larger_than_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    for pages, expected in ((1, budget.PROCESS_BYTES), (10**6, None)):
        monkeypatch.setattr(Path, "read_text", lambda self, pages=pages: f"9 {pages} 0")
        budget.process_bytes.cache_clear()
        found = budget.process_bytes()
        assert found == expected if expected else found >= 10**6 * os.sysconf("SC_PAGE_SIZE")
    budget.process_bytes.cache_clear()
