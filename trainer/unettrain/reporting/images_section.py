"""Report section 8, scores of each image or slice, worst first."""

from collections.abc import Iterator, Sequence

from unettrain.reporting.page import Html, bar, join, number, paragraph, section, table, text
from unettrain.reporting.precision import number_of
from unettrain.reporting.region_scores import RegionScores, worst_first
from unettrain.reporting.scores import HeldOut

MAX_ROWS = 50
HEAD = ("", "true cells", "AP at IoU 0.5", "mean AP, 0.5 to 0.9", "IoU of the foreground", "missed", "spurious",
        "split", "merged")  # fmt: skip


def images_section(held_out: HeldOut) -> Html:
    """The scores of the trained network, one line for each region."""
    ordered = worst_first(held_out.regions)
    left = len(ordered) - MAX_ROWS
    rest = f" The other {left:,}, which are no worse, are in scores.json." if left > 0 else ""
    return section(
        "images",
        "Scores of each image, worst first",
        paragraph(
            f"Of the trained network, in the order of AP at IoU 0.5: {number_of(len(ordered), 'line')}, one for each"
            f" image, or for each slice of a stack.{rest} A bad image often has a fault of its own: another stain,"
            " focus or magnification, or labels that are wrong. Missed, split and merged are true cells that were not"
            " found, spurious are false proposals. A dash: no cells, neither true nor proposed."
        ),
        table(HEAD, _rows(ordered[:MAX_ROWS]), "narrow"),
    )


def _rows(regions: Sequence[RegionScores]) -> Iterator[list[Html]]:
    for found in regions:
        scores, errors = found.scores, found.errors
        cells = scores.cells[0].tp + scores.cells[0].fn
        ratios = [_ratio(v, found.is_empty) for v in (scores.ap[0.5], scores.mean_ap, scores.pixels.iou)]
        counts = (errors.missed_cells, errors.spurious_proposals, errors.split_cells, errors.merged_cells)
        yield [text(found.title), number(f"{cells:,}"), *ratios, *(number(f"{count:,}") for count in counts)]


def _ratio(value: float, is_empty: bool) -> Html:
    return text("\N{EN DASH}") if is_empty else join([number(f"{value:.2f}"), bar(value, "trained")])
