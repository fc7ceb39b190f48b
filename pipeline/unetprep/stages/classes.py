"""Classes of the cells of an import, and those that a store holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from unetprep.errors import Conflict, InvalidInput
from unetprep.format.layout import labels_path
from unetprep.kernels.weights import NUM_CLASSES
from unetprep.params import ANNOTATIONS, ImportParams
from unetprep.sources.class_table import ClassOfLabel, ClassTable, read_class_table, table_of_objects
from unetprep.sources.first_pass import label_blocks
from unetprep.stages.splits import Part
from unetprep.store import Store

NUMBER = "num_classes"


@dataclass(frozen=True)
class Classes:
    """How the labels of an import get classes: they are classes, or `table` gives that of every cell."""

    number: int
    table: ClassTable | None = None

    @classmethod
    def of(cls, params: ImportParams, parts: Sequence[Part]) -> "Classes | None":
        """The classes that the parameters of an import of `parts` ask for. Raises InvalidInput for an invalid table."""
        if not params.class_table:
            return cls(params.num_classes) if params.num_classes else None
        is_annotated = params.class_table == ANNOTATIONS
        named = {part.name: part.labels for part in parts}
        table = table_of_objects(named) if is_annotated else read_class_table(params.class_table)
        number = params.num_classes or table.num_classes
        if table.num_classes > number:
            raise InvalidInput(
                f"{table.path} has class {table.num_classes - 1} with num-classes {number}",
                allowed=f"classes 1 to {number - 1}",
                hint=f"--num-classes {table.num_classes}; it counts background as a class",
            )
        return cls(number, table)

    def of_part(self, part: Part) -> ClassOfLabel | None:
        """The classes of the cells of an image; None where the labels are classes. A strip has those of its image."""
        if self.table is None:
            return None
        strip_of = part.name.removesuffix(f"-{part.split}")
        return self.table.of_image(part.name if part.name in self.table.rows else strip_of)

    def refuse_unlisted(self, part: Part, ignore_label: int | None) -> None:
        """Raise InvalidInput for a cell that the table does not list."""
        if listed := self.of_part(part):
            for labels in label_blocks(part.labels, part.box, ignore_label):
                listed.of(labels)

    def parameters(self, listed: Sequence[ClassOfLabel | None]) -> dict[str, Any]:
        """The parameters of an array of classes: their number, and a digest of the tables of its images."""
        digests = "".join(each.digest for each in listed if each)
        return {NUMBER: self.number, "class_table": sha256(digests.encode()).hexdigest() if digests else ""}


def classes_path(store: Store, group: str) -> str | None:
    """Path of the classes of an image or stack; None if its cells have none."""
    path = labels_path(group, "classes")
    return path if store.record(path) else None


def num_classes(store: Store) -> int:
    """Number of classes of a store, with background; 2 if its cells have none. Raises InvalidInput if images differ."""
    found: Mapping[str, int] = {group: _num_classes(store, group) for group in store.groups}
    numbers = set(found.values())
    if len(numbers) > 1:
        (first, one), (second, other) = next(
            ((a, n), (b, m)) for a, n in found.items() for b, m in found.items() if n != m
        )
        raise InvalidInput(
            f"{first} of {store.url} has {one} classes and {second} {other}",
            allowed="one number of classes for all images of a store; cells without classes count as 2",
            hint="import all images with one --num-classes, into another store or with --overwrite",
        )
    return numbers.pop() if numbers else NUM_CLASSES


def refuse_other_number(store: Store, planned: Mapping[str, int]) -> None:
    """Raise Conflict if a store would hold images with different numbers of classes.

    `planned` has those of the images and stacks of an import, 2 for cells without classes.
    """
    there = {group: _num_classes(store, group) for group in store.groups}
    for group, number in planned.items():
        other = next((path for path, n in there.items() if n != number and (path == group or path not in planned)), "")
        if other:
            raise Conflict(
                f"{group} would have {_classes(number)}, and {other} of {store.url} has {_classes(there[other])}",
                allowed="one number of classes for all images of a store",
                hint="import into another store, or all images with the same --num-classes or --class-table",
            )


def _classes(number: int) -> str:
    return f"{number} classes" if number > NUM_CLASSES else "background and cells"


def _num_classes(store: Store, group: str) -> int:
    path = classes_path(store, group)
    return int(store.parameters(path, NUMBER)[NUMBER]) if path else NUM_CLASSES
