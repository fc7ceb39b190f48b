"""Where the pixels of an image lie: in arrays of its own, or as one slice of a stack of images.

images/NAME            one image: image (c, z, y, x), weights (z, y, x), ...
stacks/0               many small images: slice z of each array is one image, in its upper left corner

  z = 0  +------+--+     z = 1  +---------+
         | img1 |  |            |  img2   |     The rest of a slice is padding. It is no part of the image: nothing
         +------+  |            |         |     is computed from it, and mirroring begins at the image's own edge.
         +---------+            +---------+
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unetprep.format.boxes import Box
from unetprep.format.layout import IMAGES, STACKS, image_path, stack_path

TABLE = "images"  # the attribute of a stack that lists its images
COLUMNS = ("split", "intensity", "percentiles", "source")  # of the table, besides names and sizes

Record = Callable[[str], Mapping[str, Any]]  # the unetprep attributes at a path; {} for a missing node


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Place of an image: a group, and in a stack also the slice and the sides (y, x) of the image."""

    name: str
    group: str
    index: int | None = None
    sides: tuple[int, int] | None = None

    @property
    def first(self) -> int:
        """The slice of the arrays at which the image begins."""
        return self.index or 0

    def shape(self, array_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Shape (z, y, x) of the image, from that of an array of its group."""
        z, y, x = array_shape[-3:]
        return (1, *self.sides) if self.sides else (z, y, x)

    def box(self, box: Box) -> Box:
        """A box (..., z, y, x) of the image as a box of the arrays of its group."""
        z = box[-3]
        return (*box[:-3], slice(z.start + self.first, z.stop + self.first), *box[-2:])

    def value(self, key: str, of_group: Mapping[str, Any]) -> Any:
        """An attribute of the image, from those of its group; None if it is missing."""
        if self.index is None or key not in COLUMNS:
            return of_group.get(key)
        column = of_group[TABLE].get(key)
        return column and column[self.index]

    def record(self, of_group: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of the image, from those of its group."""
        if self.index is None:
            return dict(of_group)
        table = of_group[TABLE]
        own = {key: table[key][self.index] for key in COLUMNS if key in table}
        return {key: value for key, value in of_group.items() if key != TABLE} | own


def group_paths(record: Record) -> list[str]:
    """Paths of the groups of images and stacks of a store: images in the order of import, then stacks."""
    alone = [image_path(name) for name in record(IMAGES).get("names", ())]
    return [*alone, *map(stack_path, range(record(STACKS).get("count", 0)))]


def places_of(record: Record) -> dict[str, ImagePlace]:
    """The places of all images of a store, by name. Images that were removed from a stack are left out."""
    return {place.name: place for group in group_paths(record) for place in places_in(group, record(group))}


def places_in(group: str, record: Mapping[str, Any], removed: bool = False) -> Iterator[ImagePlace]:
    """The places of the images in one group; with `removed`, also of those that were removed from a stack."""
    if not group.startswith(f"{STACKS}/"):
        yield ImagePlace(group.partition("/")[2], group)
        return
    table = record.get(TABLE, {"names": (), "sizes": (), "split": ()})
    for index, (name, size, split) in enumerate(zip(table["names"], table["sizes"], table["split"], strict=True)):
        if split is not None or removed:
            yield ImagePlace(name, group, index, (size[0], size[1]))
