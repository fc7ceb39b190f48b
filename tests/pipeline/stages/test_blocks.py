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
from unetprep.format.boxes import box_shape
from unetprep.format.layout import GRIDS, PLACED, ArraySpec, Provenance
from unetprep.parameter import Params
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.stages.base import Blocks, Job
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
    store.add_images(planned.images)
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


class Copying(Job):
    """A job of one array of 8 x 8 x 8 chunks to a shard, whose working set is what it reads."""

    def compute(self, store: Store, boxes: object) -> Blocks:
        raise NotImplementedError

    def compute_bytes(self) -> int:
        return int(np.prod(self.extent()))

    @property
    def halo(self) -> tuple[int, ...]:
        return self.outputs[0].provenance.parameters["halo"]  # type: ignore[no-any-return]


def copying(halo: tuple[int, ...]) -> Job:
    made = Provenance("", 0, {"halo": halo}, {})
    return Copying((ArraySpec("a", (512,) * 3, "uint8", ("z", "y", "x"), (32,) * 3, (256,) * 3, made),))


@pytest.mark.parametrize(
    ("halo", "room", "block"),
    [
        ((0, 0, 0), 1.0, (256, 256, 256)),
        ((0, 0, 0), 0.5, (128, 256, 256)),  # rows are whole as long as they can be
        ((0, 0, 0), 0.02, (32, 32, 256)),
        ((0, 0, 0), 0.01, (32, 32, 160)),
        ((0, 64, 0), 0.5, (128, 256, 256)),  # not across the halo: there pixels would be read twice
    ],
)
def test_the_largest_block_that_fits_is_taken(
    halo: tuple[int, ...], room: float, block: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Copying, "working_set", lambda self, packing=None: self.compute_bytes())
    job = copying(halo)
    chosen = job.within(job.compute_bytes() * room)
    assert chosen is not None
    assert chosen.block == block
    assert chosen.compute_bytes() <= job.compute_bytes() * room
    assert job.within(1) is None


@pytest.mark.parametrize("room", [0.6, 0.3, 0.1])
def test_of_all_blocks_that_fit_one_reads_the_fewest_pixels(room: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Copying, "working_set", lambda self, packing=None: self.compute_bytes())
    job = copying((31, 31, 31))
    most = job.compute_bytes() * room

    def num_read(divided: Job) -> int:
        boxes = (tuple(slice(256, 512) for _ in range(3)),)
        return sum(int(np.prod([n + 62 for n in box_shape(part)])) for (part,) in divided.parts(boxes))

    fitting = [replace(job, block=shape) for shape in job.block_shapes()]
    fitting = [divided for divided in fitting if divided.compute_bytes() <= most]
    chosen = job.within(most)
    assert chosen is not None
    assert num_read(chosen) == min(map(num_read, fitting))


def test_parts_cover_a_ragged_shard_once() -> None:
    job = replace(copying((0, 0, 0)), block=(96, 160, 256))
    (box,) = (whole,) = job.boxes((1, 0, 1))
    seen = np.zeros(box_shape(box), int)
    for (part,) in job.parts((whole,)):
        seen[tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True))] += 1
    assert (seen == 1).all()
