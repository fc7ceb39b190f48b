"""Summary of a data set before an import: its images, what is left out, and what drawing its labels loses."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unetprep.sources.folders import LeftOut
from unetprep.sources.layouts.data_set import DataSet, Pair
from unetprep.sources.outlines.drawn import DrawnLabels, class_numbers
from unetprep.sources.outlines.object_files import ObjectFiles
from unetprep.sources.outlines.objects import Overlaps
from unetprep.sources.source import PixelSize, Source

SHOWN = 3  # kinds of images, and names of classes


@dataclass(frozen=True)
class Kind:
    """Images of one shape (c, z, y, x) and dtype, and how many there are."""

    count: int
    shape: tuple[int, int, int, int]
    dtype: str

    def __str__(self) -> str:
        c, z, y, x = self.shape
        what = [f"{y} x {x} {self.dtype}", *([f"{z} slices"] if z > 1 else []), *([f"{c} channels"] if c > 1 else [])]
        return ", ".join(what)


@dataclass(frozen=True)
class DataSummary:
    """A data set in numbers. `overlaps` is None where labels are images."""

    num_images: int
    kinds: tuple[Kind, ...]  # of the images, or of labels without images; the most frequent first
    splits: Mapping[str, int]
    left_out: tuple[LeftOut, ...]
    channels: tuple[str, ...] = ()
    classes: Mapping[str, object] = field(default_factory=dict)
    labels_are_classes: bool = False
    overlaps: Overlaps | None = None
    pixel_sizes: tuple[str, ...] = ()  # that the files state, z x y x x with their unit
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The summary as text, a few lines."""
        images = "1 image" if self.num_images == 1 else f"{self.num_images} images"
        if len(self.kinds) == 1:
            images += f" of {self.kinds[0]}"
        if self.overlaps:
            images += ", 1 object" if self.overlaps.objects == 1 else f", {self.overlaps.objects} objects"
        if self.left_out:
            images += f"; {sum(e.count for e in self.left_out)} left out: {', '.join(map(str, self.left_out))}"
        return [images, *filter(None, (self._kinds(), self._about(), str(self.overlaps or ""))), *self.notes]

    def _kinds(self) -> str:
        if len(self.kinds) == 1:
            return ""
        shown = "; ".join(f"{kind.count} of {kind}" for kind in self.kinds[:SHOWN])
        rest = self.kinds[SHOWN:]
        return shown + (f"; {sum(kind.count for kind in rest)} of {len(rest)} other sizes" if rest else "")

    def _about(self) -> str:
        what = "labels are classes" if self.labels_are_classes else "classes"
        names = [f"{name} {number}" for name, number in self.classes.items()]
        found = {
            "splits": ", ".join(f"{count} {split}" for split, count in self.splits.items()),
            "channels": ", ".join(self.channels),
            "pixel sizes": "; ".join(self.pixel_sizes[:SHOWN]) + ("; ..." if self.pixel_sizes[SHOWN:] else ""),
            what: ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""),
        }
        return "; ".join(f"{name}: {text}" for name, text in found.items() if text)


def summarize(data_set: DataSet, pairs: Sequence[Pair]) -> DataSummary:
    """The summary of a data set whose sources have been opened. Labels of outlines are drawn once."""
    count = Counter((source.shape, source.dtype) for source in (image or labels for _, image, labels in pairs))
    kinds = tuple(Kind(number, *kind) for kind, number in count.most_common())
    drawn = [labels for _, _, labels in pairs if isinstance(labels, DrawnLabels | ObjectFiles)]
    overlaps = sum((labels.survey() for labels in drawn), Overlaps()) if drawn else None
    return DataSummary(
        len(pairs),
        kinds,
        data_set.num_splits,
        (*data_set.left_out, *_shapes_left_out(drawn)),
        data_set.channels,
        data_set.classes or class_numbers(of for of in drawn if isinstance(of, DrawnLabels)),
        data_set.labels_are_classes,
        overlaps,
        _pixel_sizes(pairs),
        data_set.notes,
    )


def _pixel_sizes(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The pixel sizes of images that state one, each once."""
    stated = {(image.pixel_size, image.unit) for _, image, _ in pairs if image and image.pixel_size}
    texts = (f"{_sides(size)} {unit}".rstrip() for size, unit in stated if size)
    return tuple(sorted(texts))


def _sides(size: PixelSize) -> str:
    return " x ".join(f"{side:g}" for side in size if side is not None)


def _shapes_left_out(drawn: Sequence[Source]) -> list[LeftOut]:
    """Points, lines and other shapes without an area."""
    count: Counter[str] = Counter()
    for labels in drawn:
        if isinstance(labels, DrawnLabels):
            count.update(labels.outlines().left_out)
    return [LeftOut(f"shapes of type {kind}", number, "") for kind, number in count.items()]
