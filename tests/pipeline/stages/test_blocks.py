"""A task may compute its shard in any blocks: the bytes that it writes are the same."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.pending import plan_job
from unetprep.engine.run import run_stage
from unetprep.format import layout
from unetprep.format.layout import GRIDS, PLACED, ArraySpec
from unetprep.parameter import Params
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.stages.base import Job
from unetprep.stages.importing import plan_import
from unetprep.store import Store

STAGES_RUN: list[tuple[str, Params]] = [
    ("weights", WeightsParams(formula="falk2019", separate="symmetric", engine="edt")),
    ("weights", WeightsParams()),
    ("deform", DeformParams(fields=5000, grid=(2, 2), sigma_px=2.0, tile_px=8, dense="float16")),
    ("tiles", TilesParams(tile_px=60, depth=2, margin_px=8)),
]


@pytest.fixture(params=[2, 3])
def dims(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Small shards: of stacks of independent slices, and of volumes."""
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 48, 64))
    monkeypatch.setitem(layout.PIXEL_CHUNK, 3, (2, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 3, (4, 32, 48))
    return int(request.param)


@pytest.fixture
def files(tmp_path: Path, dims: int) -> Path:
    """Two images of other sizes, none of which shards divide; some pixels are ignored."""
    for name, depth, shape in (("a", 3, (90, 75)), ("b", 5, (40, 61))):
        labels = np.stack([cell_labels(shape, 12, seed=z, radius=9) for z in range(depth)])
        labels[:, 3:9, 20:30] = 999
        for folder, array in (("images", np.stack([cell_image(z) for z in labels])), ("masks", labels)):
            (tmp_path / folder).mkdir(exist_ok=True)
            save(tmp_path / folder / f"{name}.npy", array)
    return tmp_path


def blocks_of(job: Job) -> list[Job]:
    """The job with its smallest block, a flat one, an upright one, and one that does not divide the shard."""
    shapes = list(job.block_shapes())
    chosen = {shapes[0], shapes[len(shapes) // 2], shapes[-2] if len(shapes) > 1 else shapes[0]}
    return [replace(job, block=shape) for shape in sorted(chosen)]


def check(store: Store, jobs: list[Job]) -> int:
    """Every shard of every job is the same in blocks; how many blocks there were."""
    count = 0
    for job in jobs:
        for spec in plan_job(store, job).create:
            store.create(spec)
        for index in product(*map(range, job.num_shards)):
            boxes = job.boxes(index)
            whole = job.encode(store, boxes)
            for divided in blocks_of(job):
                assert divided.encode(store, boxes) == whole, (divided.block, index)
                count += len(list(divided.parts(boxes)))
            for spec, box, chunks in zip(job.outputs, boxes, whole, strict=True):
                store.write(spec, box, chunks)
        for spec in job.outputs:
            store.set_complete(spec.path, True)
    return count


def test_every_stage_writes_the_same_bytes_in_any_blocks(files: Path, dims: int) -> None:
    url = str(files / "ds.zarr")
    store = Store.open_or_create(url)
    params = ImportParams(dims=dims, ignore_label=999)
    planned = plan_import([str(files / "images")], [str(files / "masks")], params)
    store.add_groups(planned.groups)
    assert check(store, list(planned.jobs)) > 100
    for name, chosen in STAGES_RUN[dims == 3 :]:
        for step in STAGES[name].steps:
            jobs = [replace(job, outputs=_fresh(store, job)) for job in step(store, chosen)]
            of_one_block = sum(job.outputs[0].path in (GRIDS, PLACED) for job in jobs)
            assert check(store, list(jobs)) > len(jobs) - of_one_block


def _fresh(store: Store, job: Job) -> tuple[ArraySpec, ...]:
    """The outputs of a job; those of an earlier one are gone."""
    for spec in job.outputs:
        store.storage.delete(spec.path)
        store._documents.pop(spec.path, None)
    return job.outputs


def test_connected_pieces_are_found_in_whole_shards(files: Path, dims: int) -> None:
    params = ImportParams(dims=dims, instances="components", ignore_label=999)
    for job in plan_import([], [str(files / "masks")], params).jobs:
        assert list(job.block_shapes()) == [job.outputs[0].shard]
        assert job.within(2**40) == replace(job, block=job.outputs[0].shard)
        assert job.within(job.working_set() - 1) is None


def test_a_bounded_run_writes_the_same_store(files: Path, dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = []

    def smallest(self: Job, room_bytes: float) -> Job:
        blocks.append(min(self.block_shapes()))
        return replace(self, block=blocks[-1])

    monkeypatch.setattr(Job, "within", smallest)
    for name, memory_bytes in (("free", None), ("bounded", 2**40)):
        scheduler = replace(LOCAL, memory_bytes=memory_bytes)
        url = str(files / f"{name}.zarr")
        import_images(url, [str(files / "images")], [str(files / "masks")], ImportParams(dims=dims), scheduler)
        for stage, params in STAGES_RUN[1:]:
            run_stage(Store.open(url), STAGES[stage], params, scheduler)
    assert {len(block) for block in blocks} == {1, 3, 4}
    assert tree(files / "free.zarr") == tree(files / "bounded.zarr")
