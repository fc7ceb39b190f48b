"""Journal of an update of labels, which is kept in the store until the update is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unetprep.format.boxes import Box


@dataclass(frozen=True)
class Journal:
    """State of an update that has begun, from which the next run continues."""

    fingerprints: dict[str, str]  # of the edited labels, by image
    changed: dict[str, list[Box]]  # by image: boxes that hold all pixels that change
    class_weights: list[float] | None  # before the edit; None without weight maps, or where the formula has its own
    balanced: bool  # whether these came from the data, and follow the edit
    everything: bool = False  # whether weights and tiles may hold parts of another edit that was given up
    voided: bool = False  # whether all affected arrays have been invalidated

    def as_record(self) -> dict[str, Any]:
        """The journal as values for JSON."""
        changed = {name: [box_as_text(box) for box in boxes] for name, boxes in self.changed.items()}
        return {**vars(self), "changed": changed}

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> "Journal":
        """The journal that a store records."""
        changed = {name: [box_from_text(text) for text in boxes] for name, boxes in record["changed"].items()}
        return Journal(**{**record, "changed": changed})


def box_as_text(box: Box) -> str:
    """A box as text: "0:1 5:9 0:40"."""
    return " ".join(f"{b.start}:{b.stop}" for b in box)


def box_from_text(text: str) -> Box:
    """The box of a text that `box_as_text` made."""
    return tuple(slice(*map(int, part.split(":"))) for part in text.split())
