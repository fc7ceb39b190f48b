"""Reading a run and its store for a report."""

import json
import re
import shutil
from pathlib import Path

import pytest
import zarr

from tests.trainer.reporting.conftest import MakeStore, Page
from unettrain.data.store import attributes
from unettrain.errors import InvalidInput
from unettrain.reporting import report as write_report
from unettrain.reporting.inputs import read_run


def test_a_log_may_be_torn_or_missing(run: Path) -> None:
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')
    assert len(read_run(run).log) == 4
    (run / "log.jsonl").unlink()
    assert "The log of this run is empty." in Page(write_report(run).path).words


def test_a_store_may_have_moved(run: Path, make_store: MakeStore) -> None:
    moved = make_store()
    record = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(record | {"store": "not/there.zarr"}))
    with pytest.raises(InvalidInput, match=re.escape(f"unettrain report {run} --store STORE")):
        write_report(run)
    assert "no longer holds" not in write_report(run, store=moved).path.read_text()
    tiles = zarr.open_array(moved / "tiles/image")
    tiles.attrs["unetprep"] = {**attributes(tiles), "fingerprint": "another"}
    assert "tiles/image differ" in Page(write_report(run, store=moved).path).words


def test_a_run_that_is_not_there_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no run at .*no(.|\n)*unettrain fit STORE --run"):
        write_report(tmp_path / "no")
    (run / "best.pt").unlink()
    with pytest.raises(InvalidInput, match=r"has no best.pt(.|\n)*unettrain fit STORE --run"):
        write_report(run)
    (run / "config.json").write_text("{")
    with pytest.raises(InvalidInput, match="no JSON object"):
        write_report(run)


def test_a_store_without_images_is_refused(run: Path, make_store: MakeStore) -> None:
    store = make_store()
    shutil.rmtree(store / "images")
    with pytest.raises(InvalidInput, match="has no images, only what was made from them"):
        write_report(run, store=store)
