"""What a run says and keeps while it goes on, and how it ends when it is told to."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Run

UNETPREP = (sys.executable, "-c", "from unetcli.prep.main import main; main()")
LONG = "deform --out ds.zarr --fields 8000000"


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_sigterm_stops_a_run_which_goes_on_when_repeated_and_a_second_one_is_refused(run: Run, cells: Path) -> None:
    shards = cells / "ds.zarr/fields/grids/c"
    with subprocess.Popen([*UNETPREP, *LONG.split()], cwd=cells, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: len(list(shards.glob("*"))) > 2)
            said = run(f"unetprep {LONG}", 4).stderr
            assert re.search(rf"another run works on ds.zarr: .*deform .*\(process {process.pid} on ", said)
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 75
    assert said.splitlines()[-1] == "error: stopped; the same command goes on from here"
    assert not (cells / "ds.zarr/.lock").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in shards.glob("*") if path.name.isdigit()}
    assert len(kept) > 2
    with subprocess.Popen([*UNETPREP, *LONG.split(), "-q"], cwd=cells) as again:
        try:
            until(lambda: len(list(shards.glob("[0-9]*"))) > len(kept) + 2)
        finally:
            again.kill()
    assert {name: (shards / name).stat().st_mtime_ns for name in kept} == kept


def test_the_lock_of_a_run_that_was_killed_is_not_in_the_way(run: Run, cells: Path) -> None:
    with subprocess.Popen([*UNETPREP, *LONG.split(), "-q"], cwd=cells) as process:
        until((cells / "ds.zarr/.lock").exists)
        process.kill()
    assert (cells / "ds.zarr/.lock").exists()
    start = time.monotonic()
    run("unetprep deform --out ds.zarr --fields 5 --overwrite")
    assert time.monotonic() - start < 15
    assert not (cells / "ds.zarr/.lock").exists()


def test_virtual_tiles_have_no_megapixels(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    run("unetprep weights --out ds.zarr")
    said = run("unetprep tiles --out ds.zarr --tile 188 --index-only").stdout
    assert re.search(r"tiles: wrote 2 of 2 shards in [\d.]+ s, at most \d+ MiB of memory\n", said)


def test_a_summary_says_what_was_done_and_a_log_keeps_it(run: Run, cells: Path) -> None:
    done = run("unetprep weights --in labels.tif --out ds.zarr --log log.txt")
    pattern = r"weights: wrote \d+ of \d+ shards in [\d.]+ s, [\d.e-]+ MP/s, at most \d+ MiB of memory"
    assert re.search(pattern, done.stdout)
    again = json.loads(run("unetprep weights --out ds.zarr --log log.txt --json").stdout)
    (stage,) = again["stages"]
    assert {"shards_written": 0, "retries": 0, "megapixels": 0.0}.items() <= stage.items()
    run("unetprep weights --out ds.zarr --log log.txt --w0 3", 4)
    log = (cells / "log.txt").read_text()
    assert re.search(rf"INFO {pattern}\n", log)
    assert re.search(r"INFO weights 1/1 MP/s [\d.e-]+\n", log)
    assert "INFO weights: nothing to do, all 2 shards are there\n" in log
    assert re.search(r"ERROR Conflict: .*w0 is 10.0 there and 3.0 now", log)
