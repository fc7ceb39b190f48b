"""Assessment of a completed training: whether its network predicts anything."""

from collections.abc import Sequence

ADVICE = "a lower learning-rate, a longer warmup-steps, or a clip-norm"
CHECKLIST = f"train again with {ADVICE}; look at the images' intensity range and their labels (unetprep lint, preview)"
ZERO_IOU = 0.0005  # shown as 0.000


def training_warnings(
    best_iou: float | None, last_iou: float | None, constant: bool | None, step: int
) -> tuple[str, ...]:
    """Sentences that say why a network is useless after `step` updates; empty if it is not.

    `best_iou` and `last_iou` are the validation IoU of best.pt and of the last validation, None where nothing was
    validated; `constant` says whether all pixels had the same output at the last validation.
    """
    found = []
    if constant:
        found.append(
            f"the network gives the same output for every pixel after step {step}: it learned nothing, or its"
            " activations have died"
        )
    if best_iou is not None and best_iou < ZERO_IOU:
        found.append("the validation IoU of best.pt is 0.000: none of its predicted pixels lies in a cell")
    elif last_iou is not None and last_iou < ZERO_IOU:
        found.append(
            f"the validation IoU after step {step} is 0.000: the network no longer finds a cell; best.pt is from"
            " before" + (f" (IoU {best_iou:.3f})" if best_iou is not None else "")
        )
    return tuple(found)


def unscored_warnings(best_loss: float | None, best_iou: float | None) -> tuple[str, ...]:
    """Sentences on a validation split without cells, from the scores of best.pt."""
    if best_loss is None or best_iou is not None:
        return ()
    return (
        "IoU and AP are not known, as the validation split holds no cell; best.pt is the network with the lowest"
        " validation loss, and instances are decoded by default values",
    )


def overflow_warnings(num_skipped: int, updates: int) -> tuple[str, ...]:
    """Sentences on a training in fp16 most of whose updates were skipped, as their scaled gradient overflowed."""
    if 2 * num_skipped <= updates or not updates:
        return ()
    return (
        f"{num_skipped} of {updates} updates were skipped, as their gradient overflowed in fp16: the network learned"
        " little or nothing; take --amp bf16 or none, or more steps",
    )


def as_text(warnings: Sequence[str]) -> str:
    """The warnings as lines of text, with a remedy."""
    return "\n".join([*(f"warning: {warning}" for warning in warnings), f"  to do:   {CHECKLIST}"])
