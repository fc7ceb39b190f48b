"""Table of the classes of cells: a CSV file with the columns label and class, and image where there are several."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.kernels.weight_formula import MOST_CLASSES
from unetprep.sources.first_pass import LARGEST_LABEL
from unetprep.sources.naming import IMAGE_ENDING, LABEL_ENDING, name_of
from unetprep.sources.outlines.drawn import DrawnLabels, class_numbers
from unetprep.sources.source import Source
from unetprep.storage.regular_files import read_regular

COLUMNS = "label and class, and image if there are several images"
LARGEST_BYTES = 2**28
MOST_DIGITS = 12


@dataclass(frozen=True)
class ClassOfLabel:
    """The class of each cell of one image: labels in ascending order, and their classes."""

    path: str
    labels: NDArray[np.int64]
    classes: NDArray[np.uint8]

    def of(self, labels: NDArray[np.int32]) -> NDArray[np.uint8]:
        """The class of every pixel, 0 where there is no cell. Raises InvalidInput for a cell that is not listed."""
        at = np.minimum(np.searchsorted(self.labels, labels), max(0, len(self.labels) - 1))
        listed = self.labels[at] == labels if len(self.labels) else np.zeros(labels.shape, bool)
        if (unknown := (labels > 0) & ~listed).any():
            raise InvalidInput(
                f"{self.path} does not list the label {labels[unknown][0]}", allowed="the class of every cell"
            )
        return np.where(labels > 0, self.classes[at], 0) if len(self.labels) else np.zeros(labels.shape, np.uint8)

    @property
    def digest(self) -> str:
        """Digest of labels and classes."""
        return sha256(self.labels.tobytes() + self.classes.tobytes()).hexdigest()


@dataclass(frozen=True)
class ClassTable:
    """Classes of the cells of all images, by name; "" stands for every image."""

    path: str
    rows: Mapping[str, Mapping[int, int]]

    @property
    def num_classes(self) -> int:
        """Classes, with background: one more than the greatest number in the table."""
        return 1 + max((c for rows in self.rows.values() for c in rows.values()), default=0)

    def of_image(self, name: str) -> ClassOfLabel:
        """The classes of the cells of one image. Raises InvalidInput if the table does not have it."""
        rows = self.rows.get(name, self.rows.get(""))
        if rows is None:
            raise InvalidInput(f"{self.path} lists no cell of image {name!r}", allowed="a row for every cell")
        order = sorted(rows)
        classes = np.array([rows[label] for label in order], np.uint8)
        return ClassOfLabel(self.path, np.array(order, np.int64), classes)


def read_class_table(path: str) -> ClassTable:
    """Read a table of classes. Raises InvalidInput, with the line, for rows that do not give a class to a cell once."""
    if not Path(path).is_file():
        raise InvalidInput(f"{path} is not there", allowed=f"a CSV file with the columns {COLUMNS}")
    tables: dict[str, dict[int, int]] = {}
    try:
        lines = read_regular(path, LARGEST_BYTES).decode("utf-8-sig").splitlines()
        rows = list(csv.DictReader(lines, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read as CSV: {error}", allowed=f"the columns {COLUMNS}") from None
    for line, row in enumerate(rows, 2):
        label, its_class = (_number(path, line, row, key) for key in ("label", "class"))
        if not (1 <= label <= LARGEST_LABEL and 1 <= its_class < MOST_CLASSES):
            raise InvalidInput(
                f"{path}, line {line}: label {label}, class {its_class}",
                allowed=f"labels from 1, and classes 1 to {MOST_CLASSES - 1}; 0 is background",
            )
        image = row.get("image") or ""
        name = name_of(Path(image).stem, LABEL_ENDING, IMAGE_ENDING) if image else ""
        of_image = tables.setdefault(name, {})
        if of_image.setdefault(label, its_class) != its_class:
            raise InvalidInput(
                f"{path}, line {line}: label {label} has class {its_class}, and class {of_image[label]} above",
                allowed="one class for each cell",
            )
    if not tables:
        raise InvalidInput(f"{path} has no rows", allowed=f"the columns {COLUMNS}")
    return ClassTable(path, tables)


def table_of_objects(labels: Mapping[str, Source]) -> ClassTable:
    """The classes of annotated objects, by name of the image. Raises InvalidInput for labels or objects without."""
    for source in labels.values():
        things = source.outlines().objects if isinstance(source, DrawnLabels) else ()
        without = next((thing.what for thing in things if not thing.class_name), "")
        if without or not isinstance(source, DrawnLabels):
            raise InvalidInput(
                f"{source.path} has no classes of objects" if not without else f"{source.path}: {without} has no class",
                allowed="COCO, labelme, QuPath or ImageJ files that give every object one",
                hint="give a CSV file with --class-table",
            )
    drawn = {name: source for name, source in labels.items() if isinstance(source, DrawnLabels)}
    numbers = class_numbers(drawn.values())
    rows = {
        name: {label: numbers[thing.class_name] for label, thing in enumerate(source.outlines().objects, 1)}
        for name, source in drawn.items()
    }
    found = ClassTable("the annotations", rows)
    if found.num_classes > MOST_CLASSES:
        raise InvalidInput(f"the annotations have {len(numbers)} classes", allowed=f"up to {MOST_CLASSES - 1}")
    return found


def _number(path: str, line: int, row: Mapping[str, str | None], key: str) -> int:
    text = row.get(key)
    if text is None or not text.strip().isdecimal() or len(text) > MOST_DIGITS:
        raise InvalidInput(
            f"{path}, line {line}: {key} is {text!r}",
            allowed=f"whole numbers in the columns {COLUMNS}",
            hint="the first line names the columns, separated by commas",
        )
    return int(text)
