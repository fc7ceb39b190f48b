"""Assignment of images to the training, validation and test splits. A single image is cut into strips.

The strips become images of their own, so that nothing of one (a label, a distance, a mirrored pixel) reaches another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.format.layout import IMAGES, SPLITS
from unetprep.params import ImportParams
from unetprep.sources import Source
from unetprep.stages.pixel_sizes import UNKNOWN, ImageScale, scale_of
from unetprep.store import Store


@dataclass(frozen=True)
class Part:
    """An image to be imported: a box (c, z, y, x) of its sources, and its split."""

    name: str
    image: Source | None
    labels: Source
    box: Box
    split: str
    scale: ImageScale = UNKNOWN


def split_rule(params: ImportParams) -> dict[str, float]:
    """The parameters that assign the splits, as attributes of the store; empty if all images have one split.

    So a test set that is added leaves the rule of the other images as it is.
    """
    if params.split:
        return {}
    return {"val_fraction": params.val_fraction, "test_fraction": params.test_fraction, "seed": params.seed}


def known_splits(store: Store | None, params: ImportParams) -> dict[str, str]:
    """The splits of the images of a store, by name; none if they were assigned by other parameters."""
    if (
        store is None
        or params.split
        or any(store.record(IMAGES).get(key) != value for key, value in split_rule(params).items())
    ):
        return {}
    records = {group: store.record(group) for group in store.groups}
    splits = ((place.name, place.value("split", records[place.group])) for place in store.places.values())
    return {name: split for name, split in splits if split}


def split_parts(
    pairs: Sequence[tuple[str, Source | None, Source]], params: ImportParams, known: Mapping[str, str] | None = None
) -> list[Part]:
    """Assign a split to every image; cut a single image along its longest side (a stack between its slices).

    Images of the store have `known` splits, and keep them if others are added to them; the new ones are assigned so
    that all together have the fractions that are asked for. With `params.split` all have that one; raises InvalidInput
    if a `known` split, which is then one of the data set, differs from it.
    """
    known = known or {}
    if params.split:
        _refuse_other_splits(params.split, known)
        known = dict.fromkeys((name for name, _, _ in pairs), params.split)
    fractions = {"val": params.val_fraction, "test": params.test_fraction}
    if len(pairs) == 1 and any(fractions.values()) and _is_cut(pairs[0][0], known):
        return _strips(*pairs[0], fractions, params)
    new = [i for i, (name, _, _) in enumerate(pairs) if name not in known]
    there = [known[name] for name, _, _ in pairs if name in known]
    order = np.random.Generator(np.random.Philox(params.seed)).permutation(len(new))
    num_test, num_val = (max(0, _share(fractions[s], len(pairs)) - there.count(s)) for s in ("test", "val"))
    rank = {new[int(i)]: r for r, i in enumerate(order)}
    return [
        Part(
            name,
            image,
            labels,
            tuple(slice(0, n) for n in (image or labels).shape),
            known.get(name) or ("test" if rank[i] < num_test else "val" if rank[i] < num_test + num_val else "train"),
            scale_of(image, labels, params),
        )
        for i, (name, image, labels) in enumerate(pairs)
    ]


def _refuse_other_splits(split: str, of_data_set: Mapping[str, str]) -> None:
    other = next((name for name, assigned in of_data_set.items() if assigned != split), None)
    if other:
        raise InvalidInput(
            f"split is {split}, and the data set says that {other} is in split {of_data_set[other]}",
            allowed="a data set without splits, or with this one alone",
            hint="leave --split out to take the splits of the data set; or give the folder of one split",
        )


def _is_cut(name: str, known: Mapping[str, str]) -> bool:
    """Whether a single image is cut into strips: it is the only one of the store, or was cut before."""
    return not known or any(f"{name}-{split}" in known for split in SPLITS)


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
    parts, start, scale = [], 0, scale_of(image, labels, params)
    for split in SPLITS:
        box = [slice(0, n) for n in (image or labels).shape]
        box[axis] = slice(start, start + lengths[split])
        start += lengths[split]
        if lengths[split]:
            parts.append(Part(f"{name}-{split}", image, labels, tuple(box), split, scale))
    return parts
