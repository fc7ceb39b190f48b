"""Matching of edited label files with the images of a store, and the parameters of their import."""

from collections.abc import Mapping
from itertools import product

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, shard_box, shard_counts
from unetprep.format.layout import IMAGES, JOURNAL, SPLITS, labels_path
from unetprep.format.places import ImagePlace
from unetprep.params import FileParams, ImportParams
from unetprep.params.importing import PIECES
from unetprep.sources import Source, open_labels
from unetprep.sources.naming import LABEL_ENDING, MORE_LABELS, name_of
from unetprep.stages.splits import Part
from unetprep.store import Store
from unetprep.store.store import some_names

SEVERAL = 2


def parts_of(store: Store, path: str, image: str | None, files: FileParams | None = None) -> list[Part]:
    """The images whose labels a file holds: one, or the strips into which one was cut at import."""
    source = open_labels(path, files)
    known = (image,) if image else (name_of(source.stem, LABEL_ENDING), name_of(source.stem, MORE_LABELS))
    names = next(filter(None, (_names_of(store, name) for name in known)), [])
    if not names and image is None:
        whole = {_whole(name) for name in store.places}
        names = _names_of(store, whole.pop()) if len(whole) == 1 else []
    if not names:
        raise InvalidInput(
            f"{store.url} has no image {image or source.stem!r}",
            allowed=some_names(store.names),
            hint="name the image with --image",
        )
    places = map(store.place, names)
    shapes = {p.name: p.shape(store.shards(labels_path(p.group, "instances")).shape) for p in places}
    boxes = _boxes(shapes, source)
    splits = {name: str(store.image_record(name, "split")["split"]) for name in names}
    return [Part(name, None, source, (slice(0, 1), *boxes[name]), splits[name]) for name in names]


def _names_of(store: Store, name: str) -> list[str]:
    strips = [f"{name}-{split}" for split in SPLITS if f"{name}-{split}" in store.places]
    return [name] if name in store.places else strips


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


def import_params(store: Store, name: str) -> ImportParams:
    """The parameters with which the labels of an image were imported."""
    place = store.place(name)
    path = labels_path(place.group, "instances")
    made = store.parameters(path, "instances", "dims", "connectivity", "ignore_label")
    is_connected = made["instances"] in PIECES
    ids = "auto" if is_connected or _num_ids(store, place) != 1 else "ids"
    return ImportParams(
        spacing=tuple(size for size in made.get("spacing", ()) if size is not None) or None,
        unit=made.get("unit", ""),
        dims=made["dims"],
        instances=made["instances"] if is_connected else ids,
        connectivity=made["connectivity"] if is_connected else "auto",
        ignore_label=made["ignore_label"],
        label_threshold=made.get("label_threshold"),
    )


def takes_numbers_as_cells(store: Store, name: str) -> bool:
    """Whether the labels of an image were imported with --instances ids, though they look like no numbers of cells.

    So it is assumed where an update was stopped, which had accepted the edited labels, and the stored ones are mixed.
    """
    from unetprep.linting.linter import slice_of_stack  # both need scipy
    from unetprep.stages.label_guard import looks_odd

    if store.record(IMAGES).get(JOURNAL):
        return True
    place = store.place(name)
    source = slice_of_stack(store, labels_path(place.group, "instances"), place)
    return looks_odd(source, store.dims(place.group))


def _num_ids(store: Store, place: ImagePlace) -> int:
    """How many numbers the labels of an image hold, counted up to 2. With 1 they may be of --instances ids."""
    seen: set[int] = set()
    path = labels_path(place.group, "instances")
    shards = store.shards(path)
    shape = place.shape(shards.shape)
    side = shape if place.sides else shards.shard
    for index in product(*map(range, shard_counts(shape, side))):
        try:
            block = store.read(path, place.box(shard_box(index, shape, side)))
        except FileNotFoundError:  # deleted by a run that was killed
            continue
        cells = block[block > 0]
        seen |= {int(cells.min()), int(cells.max())} if cells.size else set()
        if len(seen) >= SEVERAL:
            break
    return min(len(seen), SEVERAL)
