"""Result of an evaluation: scores, and how prediction and labels were interpreted."""

from dataclasses import dataclass
from typing import Any

from unettrain.evaluation.classes import ClassScores
from unettrain.metrics.scores import Scores


@dataclass(frozen=True)
class Evaluation:
    """`scores` of one image, and how prediction and labels were interpreted.

    `prediction_kind` is "instances", "probability", "mask" or "classes"; `threshold` is None where none was used.
    `prediction_read_as` and `labels_read_as` say in words how the files were read, `dims_reason` why `dims` is 2 or 3.
    `classes` are the scores of each class: None where cells have no classes, () if the prediction has none.
    """

    scores: Scores
    prediction_kind: str
    prediction_read_as: str
    labels_read_as: str
    threshold: float | None
    dims: int
    dims_reason: str
    classes: tuple[ClassScores, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Scores and interpretation as plain values, for JSON."""
        names = ("prediction_kind", "prediction_read_as", "labels_read_as", "threshold", "dims", "dims_reason")
        of_classes = {} if self.classes is None else {"classes": [each.as_dict() for each in self.classes]}
        return self.scores.as_dict() | {name: getattr(self, name) for name in names} | of_classes

    def as_text(self) -> str:
        """Interpretation and scores in a few lines."""
        pixels, found = self.scores.pixels, self.scores.cells[0]
        num_cells, proposed = found.tp + found.fn, found.tp + found.fp
        ap = "  ".join(f"{t:.2f} {value:.3f}" for t, value in self.scores.ap.items())
        ignored = f", {found.ignored} more in ignored pixels" if found.ignored else ""
        return (
            f"prediction read as: {self.prediction_read_as}\n"
            f"labels read as:     {self.labels_read_as}\n"
            f"dims:               {self.dims} ({self.dims_reason})\n"
            f"foreground  IoU {pixels.iou:.4f}  Dice {pixels.dice:.4f}"
            f"  precision {pixels.precision:.4f}  recall {pixels.recall:.4f}\n"
            f"cells       {found.tp} of {num_cells} found at IoU 0.5, {proposed} proposed{ignored}\n"
            f"AP          mean {self.scores.mean_ap:.3f};  at IoU {ap}" + self._of_classes()
        )

    def _of_classes(self) -> str:
        if self.classes == ():
            return "\nclasses     not scored: the prediction has none"
        return "".join(f"\n{each.as_text()}" for each in self.classes or ())
