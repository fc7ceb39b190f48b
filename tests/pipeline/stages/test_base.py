"""Blocks in which a job computes its shards."""

from dataclasses import replace

import numpy as np
import pytest

from unetprep.format.boxes import box_shape
from unetprep.format.layout import ArraySpec, Provenance
from unetprep.stages.base import Blocks, Job
from unetprep.store import Store


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
