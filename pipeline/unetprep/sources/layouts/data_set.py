"""A data set: its examples, each with the files of its image and its labels, before any file is opened."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from unetprep.errors import Faults, InvalidInput
from unetprep.params import ImportParams
from unetprep.sources.arrays import ArraySource
from unetprep.sources.folders import LeftOut
from unetprep.sources.joined import join
from unetprep.sources.labels import as_labels, label_file
from unetprep.sources.opening import open_source
from unetprep.sources.source import Choice, Choices, PixelSize, Source

OpenFile = Callable[[str, Choice], Source]
Pair = tuple[str, Source | None, Source]  # name, image, labels


@dataclass(frozen=True)
class Files:
    """An image or labels in a file, or in several that are joined along `axis`, c or z; a part is a path or joined.

    `pixel_size` is what the data set says of a file that does not state it.
    """

    parts: tuple["str | Files | Source", ...]
    axis: str = ""
    pixel_size: PixelSize | None = None

    def open(self, choice: Choice, open_file: OpenFile) -> Source:
        """Open the files."""
        opened = [self._open_part(part, choice, open_file) for part in self.parts]
        source = join(opened, self.axis) if self.axis else opened[0]
        is_said = self.pixel_size is not None and source.pixel_size is None
        return replace(source, pixel_size=self.pixel_size) if is_said else source

    @staticmethod
    def _open_part(part: "str | Files | Source", choice: Choice, open_file: OpenFile) -> Source:
        if isinstance(part, Source):
            return part
        return part.open(choice, open_file) if isinstance(part, Files) else open_file(part, choice)


class Outlined(Protocol):
    """Labels that are drawn for an image: outlines in an annotation file, or a file for each object."""

    def open_for(self, image: Source) -> Source:
        """The labels, of the size of the image."""
        ...


@dataclass(frozen=True)
class Example:
    """An image and its labels, and the split that the data set assigns, "" for none."""

    name: str
    image: Files | None
    labels: "Files | Outlined"
    split: str = ""


@dataclass(frozen=True)
class DataSet:
    """The examples of a data set, what is left out of it, and what it says of them.

    `classes` are the numbers of classes by name. They are what the labels hold if `labels_are_classes`, else the
    classes of whole objects. `ignore_label` is what marks pixels of unknown class. `notes` are sentences for the user.
    """

    layout: str
    folder: str
    examples: tuple[Example, ...]
    left_out: tuple[LeftOut, ...] = ()
    channels: tuple[str, ...] = ()
    classes: Mapping[str, object] = field(default_factory=dict)
    labels_are_classes: bool = False
    ignore_label: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, str]:
        """The splits that the data set assigns, by name of the image."""
        return {example.name: example.split for example in self.examples if example.split}

    @property
    def largest_class(self) -> int:
        """The greatest number of a class, without that of pixels to be ignored."""
        numbers = (number for number in self.classes.values() if isinstance(number, int))
        return max((number for number in numbers if number != self.ignore_label), default=1)

    @property
    def has_images(self) -> bool:
        """Whether there are images, not labels alone."""
        return any(example.image for example in self.examples)

    @property
    def num_splits(self) -> Counter[str]:
        """Number of images of each split that the data set assigns."""
        return Counter(self.splits.values())

    def refuse_classes(self, params: ImportParams) -> None:
        """Raise InvalidInput if labels that are classes would be imported as numbers of cells."""
        if self.labels_are_classes and params.instances == "auto" and not params.labels_are_classes:
            names = ", ".join(f"{name} {number}" for name, number in self.classes.items())
            raise InvalidInput(
                f"the labels of {self.folder} are classes: {names}",
                allowed="numbers of cells",
                hint=f"--num-classes {1 + self.largest_class} keeps the classes; --instances components takes every"
                " connected piece of any class as a cell; --instances ids takes each class as one cell",
            )
        if params.labels_are_classes and not all(isinstance(example.labels, Files) for example in self.examples):
            raise InvalidInput(
                f"the labels of {self.folder} number the objects of layout {self.layout}, and are no classes",
                allowed="--num-classes alone for labels whose values are classes",
                hint="--class-table TABLE.csv gives the class of every object, with the columns image, label and class;"
                " object k of an image, in the order of the file, has label k",
            )
        if self.ignore_label is not None and params.ignore_label is None:
            raise InvalidInput(
                f"{self.folder} says that {self.ignore_label} marks pixels of unknown class",
                hint=f"add --ignore-label {self.ignore_label}",
            )

    def open(
        self, chosen: Choices | None = None, open_file: OpenFile = open_source, faults: Faults | None = None
    ) -> list[Pair]:
        """(name, image, labels) for every example.

        `chosen` says which image of each file is read, and its axes. Files that cannot be read and pairs that do not
        fit are left out and added to `faults`; without it, they are raised together as an InvalidInput.
        """
        of_images = Choice.of_images(chosen) if chosen else Choice()
        of_labels = Choice.of_labels(chosen) if chosen else Choice(is_labels=True)
        # All labels before all images, as an import reads them.
        found, labels, images = faults or Faults(), dict[int, Source](), dict[int, Source]()
        for i, example in enumerate(self.examples):
            if isinstance(example.labels, Files):
                with found.collected():
                    choice = replace(of_labels, may_be_only_one=example.image is not None)
                    labels[i] = as_labels(example.labels.open(choice, open_file), of_labels.channel)
        for i, example in enumerate(self.examples):
            if example.image:
                with found.collected():
                    images[i] = example.image.open(of_images, open_file)
        pairs: list[Pair] = []
        for i, example in enumerate(self.examples):
            if (example.image and i not in images) or (isinstance(example.labels, Files) and i not in labels):
                continue
            with found.collected():
                image = images.get(i)
                drawn = labels[i] if i in labels else self._draw(example, image)
                if image is not None:
                    refuse_same(image, drawn)
                    check_shapes(image, drawn)
                pairs.append((example.name, image, drawn))
        if faults is None or not pairs:
            found.refuse()
        return pairs

    @staticmethod
    def _draw(example: Example, image: Source | None) -> Source:
        assert image is not None
        assert not isinstance(example.labels, Files)
        return example.labels.open_for(image)


def refuse_mixed_channels(pairs: Iterable[Pair]) -> None:
    """Raise InvalidInput for images of different numbers of channels, naming two of them."""
    kinds: dict[int, list[str]] = {}
    for image in (image for _, image, _ in pairs if image):
        kinds.setdefault(image.shape[0], []).append(image.path)
    if len(kinds) > 1:
        seen = ", ".join(f"{num} as in {paths[0]} ({len(paths)} images)" for num, paths in sorted(kinds.items()))
        raise InvalidInput(
            f"the images have different numbers of channels: {seen}",
            allowed="the same channels in all images of a store",
            hint="save all as grey images or all as RGB, without an alpha channel; or import each kind into a store",
        )


def refuse_same(image: Source, label: Source) -> None:
    """Raise InvalidInput if an image and its labels are one."""
    labels = label_file(label)
    is_array = isinstance(image, ArraySource) and isinstance(labels, ArraySource) and image.pixels is labels.pixels
    if is_array or (image.place_in_file() is not None and image.place_in_file() == labels.place_in_file()):
        raise InvalidInput(
            f"{image.path} is given as an image and as its labels",
            allowed="an image, and labels that number its cells; or an OME-Zarr image with labels in its group labels",
        )


def check_shapes(image: Source, label: Source) -> None:
    """Raise InvalidInput if an image and its labels differ in size."""
    if image.shape[1:] != label.shape[1:]:
        raise InvalidInput(
            f"{image.path} and its labels {label.path} differ in size:"
            f" {image.shape[1:]} and {label.shape[1:]} pixels (z, y, x)",
            allowed="the same size",
            hint="check that they belong together; if the axes were misread, name them with --axes",
        )


def merged(layout: str, folder: str, parts: Sequence[tuple[str, str, DataSet]]) -> DataSet:
    """One data set of several, each given with the beginning of its names and the split of its examples."""
    examples = [
        replace(example, name=f"{before}-{example.name}", split=split)
        for before, split, part in parts
        for example in part.examples
    ]
    first = parts[0][2]
    notes = dict.fromkeys(note for _, _, part in parts for note in part.notes)
    classes = {name: number for _, _, part in parts for name, number in part.classes.items()}
    kept = tuple(entry for _, _, part in parts for entry in part.left_out)
    return replace(
        first, layout=layout, folder=os.fspath(folder), examples=tuple(examples), left_out=kept, classes=classes,
        notes=tuple(notes),
    )  # fmt: skip
