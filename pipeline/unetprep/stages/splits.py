"""Assignment of images to the training, validation and test splits. A single image is cut into strips.

The strips become images of their own, so that nothing of one (a label, a distance, a mirrored pixel) reaches another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.format.layout import SPLITS
from unetprep.params import ImportParams
from unetprep.sources import Source


@dataclass(frozen=True)
class Part:
    """An image to be imported: a box (c, z, y, x) of its sources, and its split."""

    name: str
    image: Source | None
    labels: Source
    box: Box
    split: str


def split_parts(pairs: Sequence[tuple[str, Source | None, Source]], params: ImportParams) -> list[Part]:
    """Assign a split to every image; cut a single image along its longest side (a stack between its slices)."""
    fractions = {"val": params.val_fraction, "test": params.test_fraction}
    if len(pairs) == 1 and any(fractions.values()):
        return _strips(*pairs[0], fractions, params)
    order = np.random.Generator(np.random.Philox(params.seed)).permutation(len(pairs))
    num_test, num_val = (_share(fractions[s], len(pairs)) for s in ("test", "val"))
    rank = {int(i): r for r, i in enumerate(order)}
    return [
        Part(
            name,
            image,
            labels,
            tuple(slice(0, n) for n in (image or labels).shape),
            "test" if rank[i] < num_test else "val" if rank[i] < num_test + num_val else "train",
        )
        for i, (name, image, labels) in enumerate(pairs)
    ]


def _share(fraction: float, total: int) -> int:
    return max(1, round(fraction * total)) if fraction else 0


def _strips(
    name: str, image: Source | None, labels: Source, fractions: dict[str, float], params: ImportParams
) -> list[Part]:
    sides = labels.shape
    axis = 1 if params.dims == 2 and sides[1] > 2 else max((2, 3), key=lambda a: sides[a])
    lengths = {split: _share(fraction, sides[axis]) for split, fraction in fractions.items()}
    lengths["train"] = sides[axis] - sum(lengths.values())
    if lengths["train"] < 1:
        raise InvalidInput(f"{name} is too small to be cut into {SPLITS}", allowed="smaller fractions")
    parts, start = [], 0
    for split in SPLITS:
        box = [slice(0, n) for n in (image or labels).shape]
        box[axis] = slice(start, start + lengths[split])
        start += lengths[split]
        if lengths[split]:
            parts.append(Part(f"{name}-{split}", image, labels, tuple(box), split))
    return parts
