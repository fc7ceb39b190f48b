"""Report section 9, errors: numbers of missed, spurious, split and merged cells, and maps of the worst images."""

from unetprep.pictures import grey
from unettrain.metrics.cell_errors import CellKind, ErrorCounts
from unettrain.reporting.error_maps import COLOURS, SIGNS, ErrorMap
from unettrain.reporting.page import Html, element, figure, grid, join, legend, paragraph, picture, section, table, text
from unettrain.reporting.pictures import outline_path
from unettrain.reporting.precision import number_of
from unettrain.reporting.scores import HeldOut

SIGNS_ACROSS = {"one": 56, "two": 32}  # signs that fit into the width of a picture, by the kind of its grid
SHIFTS = {CellKind.MISSED: -0.35, CellKind.SPURIOUS: 0.35}  # in sizes of a sign
MEANINGS = {
    CellKind.FOUND: "found: matched at IoU 0.5",
    CellKind.MISSED: "missed cell",
    CellKind.SPURIOUS: "spurious: a false proposal",
    CellKind.SPLIT: "split: one cell, several proposals",
    CellKind.MERGED: "merged: several cells, one proposal",
}


def errors_section(held_out: HeldOut) -> Html:
    """The kinds of errors with their numbers, and where they are in the worst images."""
    errors = held_out.errors
    maps = [figures(each) for each in held_out.maps] or [
        paragraph("Every cell was found, and no other, so no map is shown.")
    ]
    return section(
        "errors",
        "Errors: missed, spurious, split and merged cells",
        paragraph(
            "Every true cell and every proposal of the trained network has one of these kinds; their numbers add up to"
            " those of AP at IoU 0.5. A cell is split if two or more proposals have more than half of their pixels in"
            " it. A proposal merges cells if it has more than half of the pixels of two or more. What is matched counts"
            " as found all the same, with the other pieces of the cell as split, or the other cells of the proposal as"
            " merged."
        ),
        counts_table(errors),
        paragraph(
            f"In all, {number_of(errors.splits, 'cell')} {_is(errors.splits)} split and"
            f" {number_of(errors.mergers, 'proposal')} {'merges' if errors.mergers == 1 else 'merge'} cells, found ones"
            f" included.{_ignored(errors)}",
            "small",
        ),
        *maps,
    )


def counts_table(errors: ErrorCounts) -> Html:
    """Numbers of true cells and of proposals of each kind."""
    rows = (
        ("found", errors.found, errors.found),
        ("missed", errors.missed_cells, None),
        ("spurious", None, errors.spurious_proposals),
        ("split", errors.split_cells, errors.split_proposals),
        ("merged", errors.merged_cells, errors.merged_proposals),
    )
    lines = ([text(kind), *(text("" if n is None else f"{n:,}") for n in counts)] for kind, *counts in rows)
    return table(("", "true cells", "proposals"), lines, "few")


def figures(shown: ErrorMap) -> Html:
    """The image and the map of its errors."""
    image, (height, width), title = grey(shown.image), shown.labels.shape, shown.found.title
    kind = "one" if width > 2 * height else "two"
    outlines = element("path", d=outline_path(shown.labels.clip(0)), class_="cell")
    colours = legend([(colour, f"{SIGNS.get(kind, '')} {MEANINGS[kind]}".strip()) for kind, colour in COLOURS.items()])
    alt = f"The errors in {title}, in colour and with signs: {summary(shown.found.errors)}"
    part = "The whole image." if shown.is_whole else f"Slice {shown.z}, the part with the most errors."
    pair = (
        figure(picture(image, f"Image {title}"), "Image.", part),
        figure(
            picture(shown.picture(), alt, join([outlines, *signs(shown, width / SIGNS_ACROSS[kind])])),
            "Errors.",
            f"White: outlines of the true cells. {summary(shown.found.errors)}.",
            colours,
        ),
    )
    heading = element("h3", text(f"{title}: AP@0.5 {shown.found.scores.ap[0.5]:.2f}"))
    return join([heading, grid(*pair, kind=kind)])


def signs(shown: ErrorMap, size_px: float) -> list[Html]:
    """The marks of a map as SVG text, wholly inside; missed cells and spurious proposals may share their centre."""
    height, width = shown.labels.shape
    style: dict[str, object] = {
        "class_": "sign",
        "font_size": f"{size_px:.1f}",
        "text_anchor": "middle",
        "dy": "0.35em",
    }
    return [
        element("text", text(SIGNS[kind]), x=_inside(x + SHIFTS.get(kind, 0) * size_px, width, size_px),
                y=_inside(y, height, size_px), **style)
        for x, y, kind in shown.marks()
    ]  # fmt: skip


def _inside(centre: float, length: int, size: float) -> str:
    return f"{min(max(centre, size / 2), length - size / 2):.1f}"


def summary(errors: ErrorCounts) -> str:
    """The numbers of each kind in words; of split and merged cells those that were not found."""
    return (
        f"{errors.found:,} found, {errors.missed_cells:,} missed, {errors.split_cells:,} split and"
        f" {errors.merged_cells:,} merged cells; {number_of(errors.spurious_proposals, 'spurious proposal')}"
    )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _ignored(errors: ErrorCounts) -> str:
    if not errors.ignored_proposals:
        return ""
    return f" {number_of(errors.ignored_proposals, 'more proposal')} lie mostly in ignored pixels and count as nothing."
