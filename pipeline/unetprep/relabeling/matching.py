"""Matching of edited label files with the images of a store, and the parameters of their import."""

from collections.abc import Mapping
from itertools import product

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, shard_box
from unetprep.format.layout import SPLITS, labels_path
from unetprep.params import ImportParams
from unetprep.sources import Source, open_labels
from unetprep.sources.pairing import LABEL_ENDING
from unetprep.stages.splits import Part
from unetprep.store import Store

SEVERAL = 2


def parts_of(store: Store, path: str, image: str | None) -> list[Part]:
    """The images whose labels a file holds: one, or the strips into which one was cut at import."""
    source = open_labels(path)
    names = _names_of(store, image or LABEL_ENDING.sub("", source.stem) or source.stem)
    if not names and image is None:
        whole = {_whole(name) for name in store.names}
        names = _names_of(store, whole.pop()) if len(whole) == 1 else []
    if not names:
        raise InvalidInput(
            f"{store.url} has no image {image or source.stem!r}",
            allowed=", ".join(store.names[:5]) + (", ..." if store.names[5:] else ""),
            hint="name the image with --image",
        )
    shapes = {name: store.shards(labels_path(name, "instances")).shape for name in names}
    boxes = _boxes(shapes, source)
    return [Part(name, None, source, (slice(0, 1), *boxes[name]), _split(store, name)) for name in names]


def _names_of(store: Store, name: str) -> list[str]:
    strips = [f"{name}-{split}" for split in SPLITS if f"{name}-{split}" in store.names]
    return [name] if name in store.names else strips


def _whole(name: str) -> str:
    whole, _, split = name.rpartition("-")
    return whole if split in SPLITS else name


def _boxes(shapes: Mapping[str, tuple[int, ...]], source: Source) -> dict[str, Box]:
    """The box of each image in a file: the whole file, or strips that follow each other along one axis."""
    size = source.shape[1:]
    for axis in range(3):
        others = {tuple(n for a, n in enumerate(shape) if a != axis) for shape in shapes.values()}
        rest = tuple(n for a, n in enumerate(size) if a != axis)
        if others == {rest} and sum(shape[axis] for shape in shapes.values()) == size[axis]:
            boxes, start = {}, 0
            for name, shape in shapes.items():
                box = [slice(0, n) for n in size]
                box[axis] = slice(start, start + shape[axis])
                boxes[name], start = tuple(box), start + shape[axis]
            return boxes
    raise InvalidInput(
        f"{source.path} has {size} pixels (z, y, x), and {', '.join(f'{n} {s}' for n, s in shapes.items())}",
        allowed="labels of the size of those that they replace",
    )


def _split(store: Store, name: str) -> str:
    return str(store.parameters(labels_path(name, "instances"), "split")["split"])


def import_params(store: Store, name: str) -> ImportParams:
    """The parameters with which the labels of an image were imported."""
    path = labels_path(name, "instances")
    made = store.parameters(path, "instances", "dims", "connectivity", "ignore_label")
    is_components = made["instances"] == "components"
    ids = "auto" if is_components or _num_ids(store, labels_path(name, "instances")) != 1 else "ids"
    return ImportParams(
        spacing=tuple(size for size in made.get("spacing", ()) if size is not None) or None,
        unit=made.get("unit", ""),
        dims=made["dims"],
        instances="components" if is_components else ids,
        connectivity=made["connectivity"] if is_components else "auto",
        ignore_label=made["ignore_label"],
    )


def _num_ids(store: Store, path: str) -> int:
    """How many numbers labels hold, counted up to 2. With 1 they may have been imported with --instances ids."""
    seen: set[int] = set()
    shards = store.shards(path)
    for index in product(*map(range, shards.counts)):
        try:
            block = store.read(path, shard_box(index, shards.shape, shards.shard))
        except FileNotFoundError:  # deleted by a run that was killed
            continue
        cells = block[block > 0]
        seen |= {int(cells.min()), int(cells.max())} if cells.size else set()
        if len(seen) >= SEVERAL:
            break
    return min(len(seen), SEVERAL)
