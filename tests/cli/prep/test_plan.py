"""Forecasts: files, bytes and memory equal what a run writes and takes, and nothing is left behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.pipeline.conftest import tree
from tests.pipeline.engine.test_memory import cells as make_cells
from unetprep.params import format_bytes, parse_bytes

MIB = 2**20
UNETPREP = """
import atexit, sys
from pathlib import Path
from tests.pipeline.engine.measuring import status
from unetcli.prep.main import main
atexit.register(lambda: Path("peak.txt").write_text(str(status("VmHWM"))))
main(sys.argv[1:])
"""
ROOT = Path(__file__).parents[3]
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured on Linux")
EVERY_COMMAND = [
    "import --image img.tif --labels labels.tif --out ds.zarr",
    "weights --in labels.tif --out ds.zarr",
    "weights --out ds.zarr --sigma 4",
    "deform --out ds.zarr --fields 20",
    "tiles --out ds.zarr --tile 188",
    "run recipe.toml",
]


@pytest.fixture(autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one process compiles is there for the next, whatever other tests compile meanwhile: it takes memory."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))


def process(folder: Path, line: str, code: int = 0) -> tuple[str, int]:
    """Run a command line as a process of its own: what it prints (its errors, if it fails), and its peak memory."""
    words = [sys.executable, "-c", UNETPREP, *line.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stderr
    # not what wait4 says: that counts the memory of the process that it was forked from too
    return done.stderr if code else done.stdout, int((folder / "peak.txt").read_text())


def sizes(store: Path) -> dict[str, int]:
    """Bytes of each kind of array, its shards alone, as a forecast calls them; and of all files."""
    found: dict[str, int] = {"": 0}
    for file in store.rglob("*"):
        if file.is_file():
            found[""] += file.stat().st_size
            path, inside, _ = str(file.relative_to(store)).partition("/c/")
            kind = re.sub("^images/[^/]+/", "images/*/", path)
            found[kind] = found.get(kind, 0) + (file.stat().st_size if inside else 0)
    return found


def recipe(folder: Path, text: str) -> None:
    (folder / "recipe.toml").write_text('out = "ds.zarr"\n' + text)


def flat(folder: Path) -> None:
    make_cells(folder, (2560, 2560), 8000)
    recipe(folder, '[import]\nimage = "image.npy"\nlabels = "labels.npy"\n[tiles]\ntile = 572\n')


def volume(folder: Path) -> None:
    make_cells(folder, (66, 300, 290), 400, "tif")
    recipe(folder, '[import]\nimage = "image.tif"\nlabels = "labels.tif"\ndims = 3\n[tiles]\ntile = 444\nmargin = 8\n')


def many(folder: Path) -> None:
    for number in range(15):
        made = make_cells(folder / "made", (180 + 7 * number, 200 + 3 * number), 20 + number, "png")
        for kind in ("image", "labels"):
            (folder / kind).mkdir(exist_ok=True)
            (made / f"{kind}.png").rename(folder / kind / f"{number}.png")
    recipe(folder, '[import]\nimage = "image"\nlabels = "labels"\ntest-fraction = 0.2\n[tiles]\ntile = 316\n')


@linux
@pytest.mark.parametrize("make", [flat, volume, many])
def test_files_bytes_and_memory_are_what_was_said(run: Run, tmp_path: Path, make: Any) -> None:
    make(tmp_path)
    said = json.loads(process(tmp_path, "plan run recipe.toml --json --workers 1")[0])
    assert not (tmp_path / "ds.zarr").exists()
    done, peak = process(tmp_path, "run recipe.toml --json --workers 1 -q")
    found = sizes(tmp_path / "ds.zarr")
    assert said["files"] == len(tree(tmp_path / "ds.zarr"))
    assert said["bytes"] == pytest.approx(found[""], rel=0.25)
    for stage, really in zip(said["stages"], json.loads(done)["stages"], strict=True):
        assert (stage["stage"], stage["shards_total"], stage["tasks"]) == (
            really["stage"],
            really["shards_total"],
            really["shards_written"],
        )
        for array in stage["arrays"]:
            least = 20_000  # below it a chunk more or less decides
            assert array["bytes"] == pytest.approx(found[array["path"]], rel=0.25, abs=least), array
    assert said["peak_bytes"] == pytest.approx(peak, rel=0.25)
    again = json.loads(run("unetprep plan run recipe.toml --json --workers 1").stdout)
    assert [(s["tasks"], s["files"], s["bytes"]) for s in again["stages"]] == [(0, 0, 0)] * 4


@linux
def test_a_bounded_worker_stays_below_and_writes_the_same(tmp_path: Path) -> None:
    make_cells(tmp_path, (96, 640, 640), 2000)
    line = "weights --in labels.npy --dims 3 -q --workers 1"
    _, free = process(tmp_path, f"{line} --out free.zarr")
    refused, _ = process(tmp_path, f"{line} --out bounded.zarr --memory 100MiB", 3)
    assert not (tmp_path / "bounded.zarr").exists()
    least = re.search(r"allowed: --memory (\S+) or more", refused)
    assert least is not None
    assert parse_bytes(least[1]) < 0.95 * free
    process(tmp_path, f"{line} --out bounded.zarr --memory {format_bytes(parse_bytes(least[1]) - MIB)}", 3)
    _, bounded = process(tmp_path, f"{line} --out bounded.zarr --memory {least[1]}")
    assert bounded <= parse_bytes(least[1]) < free
    assert tree(tmp_path / "bounded.zarr") == tree(tmp_path / "free.zarr")


@pytest.fixture
def recipe_of_cells(cells: Path) -> Path:
    recipe(cells, '[import]\nimage = "img.tif"\nlabels = "labels.tif"\n[deform]\nfields = 9\n[tiles]\ntile = 188\n')
    return cells


@pytest.mark.parametrize("line", EVERY_COMMAND)
def test_nothing_is_left_behind(run: Run, recipe_of_cells: Path, line: str) -> None:
    """Where no store is there, and where one is: a forecast makes none and changes none."""
    before = tree(recipe_of_cells)
    needs_store = line.startswith(("weights --out", "tiles"))
    for command in (f"unetprep plan {line} --json", f"unetprep {line} --dry-run --json"):
        said = run(command, 3 if needs_store else 0)
        assert tree(recipe_of_cells) == before
        assert needs_store or json.loads(said.stdout)["stages"][0]["tasks"] > 0
    run("unetprep run recipe.toml --out ds.zarr")
    before = tree(recipe_of_cells)
    told = run(f"unetprep plan {line} --overwrite").stdout
    assert "nothing was written" in told
    assert run(f"unetprep {line} --overwrite --dry-run").stdout.splitlines()[0] == told.splitlines()[0]
    assert tree(recipe_of_cells) == before


def test_what_is_there_does_not_count(run: Run, recipe_of_cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    said = json.loads(run("unetprep plan run recipe.toml --json").stdout)
    assert [(s["stage"], s["shards_there"], s["tasks"]) for s in said["stages"]] == [
        ("import", 2, 0),
        ("weights", 0, 2),
        ("deform", 0, 1),
        ("tiles", 0, 8),
    ]
    run("unetprep weights --out ds.zarr --sigma 3")
    refused = run("unetprep plan run recipe.toml", 4).stderr
    assert "sigma is 3.0 there and 5.0 now" in refused


def test_a_forecast_for_shapes_alone(run: Run, tmp_path: Path) -> None:
    line = "unetprep plan --shape 1,3000,4000 --cells 9000 --json --workers 2"
    one = json.loads(run(line).stdout)
    thousand = json.loads(run(f"{line} --images 1000").stdout)
    assert list(tmp_path.iterdir()) == []
    stages = {s["stage"]: s for s in one["stages"]}
    assert list(stages) == ["import", "weights", "deform", "tiles"]
    assert stages["tiles"]["tasks"] == 2  # 8 x 11 tiles of 388 pixels, and where they lie
    more = {s["stage"]: s for s in thousand["stages"]}
    assert more["import"]["tasks"] == 1000 * stages["import"]["tasks"] == 8000
    assert more["tiles"]["tasks"] == pytest.approx(2 * 344, abs=40)  # shards of 256 tiles, from 50 images
    assert more["weights"]["bytes"] == pytest.approx(1000 * stages["weights"]["bytes"], rel=0.1)
    assert more["deform"]["bytes"] == stages["deform"]["bytes"]
    for name in ("import", "weights", "deform"):
        assert stages[name]["peak_bytes"] == pytest.approx(more[name]["peak_bytes"], rel=0.05)
    assert (
        stages["tiles"]["peak_bytes"] < more["tiles"]["peak_bytes"] < 1.5 * stages["tiles"]["peak_bytes"]
    )  # 88, 256 tiles
    assert any("generated cells" in guess for guess in stages["import"]["guesses"])


def test_a_petabyte_is_planned_too(run: Run) -> None:
    said = json.loads(run("unetprep plan --shape 262144,262144 --cells 50000000 --images 16384 --json").stdout)
    assert said["stages"][0]["tasks"] == 2 * 128 * 128 * 16384
    assert said["bytes"] > 2**50


def test_the_document_shows_what_is_printed(run: Run) -> None:
    """The first of its columns: the others take minutes."""
    page = (ROOT / "docs/clusters.md").read_text().replace("`", "")
    rows = {row[0].split(":")[0]: row[1] for row in re.findall(r"^\| (.+?) \| (.+?) \|", page, re.MULTILINE)}
    stages = json.loads(run(f"unetprep plan {rows['unetprep plan']} --workers 8 --json").stdout)["stages"]
    shown = [stage for stage in stages if stage["stage"] in ("import", "weights", "tiles")]
    assert rows["shards"] == " and ".join(f"{stage['shards_total']:,}" for stage in shown)
    assert rows["files"] == f"{sum(stage['files'] for stage in stages):,}"
    memory = [f"{stage['working_set_bytes'] / MIB:.0f}" for stage in shown]
    assert rows["memory of a task"] == "{}, {} and {} MiB".format(*memory)
    said = [float(number) for number in re.findall(r"[\d.]+", rows["bytes"])]
    assert said == pytest.approx([stage["bytes"] / 2**30 for stage in shown], rel=0.05)


@pytest.mark.parametrize("shape", ["4", "0,4", "1,2,3,4,5", "a,b"])
def test_other_shapes_are_refused(run: Run, shape: str) -> None:
    assert "two to four numbers" in run(f"unetprep plan --shape {shape}", 3).stderr


def test_plan_alone_asks_for_a_command(run: Run) -> None:
    assert "name a command" in run("unetprep plan", 2).stderr
    assert "memory is '2'" in run("unetprep plan --shape 9,9 --memory 2", 3).stderr
