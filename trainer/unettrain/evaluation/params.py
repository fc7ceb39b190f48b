"""Parameters of an evaluation: what prediction and labels hold. Imports no numpy."""

from dataclasses import dataclass

from unetprep.parameter import parameter
from unettrain.config import MOST_CLASSES, TrainerParams
from unettrain.errors import InvalidInput
from unettrain.evaluation.metric_table import DEFAULT_METRICS, METRICS, PROBABILITY, named_metrics

PREDICTIONS = ("auto", "instances", "probability", "mask", "classes")
INSTANCES = ("auto", "ids", "components", "pieces")


def _names(*, of_probabilities: bool) -> str:
    return ", ".join(m.name for m in METRICS.values() if (m.needs == PROBABILITY) == of_probabilities)


@dataclass(frozen=True)
class EvaluateParams(TrainerParams):
    """Interpretation of a prediction and of labels."""

    dims: int | None = parameter(
        None,
        "2: the slices of a stack are independent images; 3: a stack is one volume.  [default: as the store of LABELS"
        " says; 2 for a single slice; required for any other stack]",
        choices=(2, 3),
    )
    prediction: str = parameter(
        "auto",
        "What PREDICTION holds. instances: each number is one object; probability: foreground is above --threshold;"
        " mask: foreground is not 0, or above --threshold; classes: each number is a class; auto: decided by dtype and"
        " values, refused if ambiguous.",
        choices=PREDICTIONS,
    )
    threshold: float | None = parameter(
        None,
        "Foreground is above this value: 0 to 1 for probabilities, in the values of the file for a mask.  [default: of"
        " probabilities the one that predict recorded in them, or 0.5]",
    )
    instances: str = parameter(
        "auto",
        "What LABELS hold. ids: each number is one cell; components: each connected component of a mask is one cell;"
        " pieces: each connected piece of one number; auto: ids, but a binary mask and values that change gradually are"
        " refused.",
        choices=INSTANCES,
    )
    num_classes: int | None = parameter(
        None,
        "LABELS are classes, 0 (background) to one less than this number, instead of cells; scores of each class are"
        " added.  [default: as the store of LABELS says]",
        least=2,
        most=MOST_CLASSES,
    )
    ignore_label: int | None = parameter(None, "Number in LABELS of pixels that are neither cell nor background.")
    metrics: str = parameter(
        "",
        f"Metrics, separated by commas: {_names(of_probabilities=False)}; and of probabilities or masks, at several"
        f" thresholds, {_names(of_probabilities=True)}.  [default: {','.join(DEFAULT_METRICS)}]",
    )
    ignore_background: bool = parameter(
        False,
        "Leave out pixels where LABELS are 0 from variation_of_information and adapted_rand, as CREMI and SNEMI3D do.",
    )
    split: str = parameter("", "Of a store, only the images of this split: train, val or test.")
    label_axes: str = parameter("", "Axes of LABELS, as zyx.  [default: as the file says]")
    label_channel: int | None = parameter(
        None, "Channel of LABELS that holds the numbers of the cells; 0 is the first.  [default: the only one]", least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        names = {metric.name for metric in named_metrics(self.metrics)}
        if self.ignore_background and not names & {"variation_of_information", "adapted_rand"}:
            raise InvalidInput(
                f"ignore-background changes none of the metrics {', '.join(sorted(names))}",
                allowed="ignore-background with variation_of_information or adapted_rand among --metrics",
            )
        if self.split not in ("", "train", "val", "test"):
            raise InvalidInput(f"split is {self.split!r}", allowed="train, val or test")
