"""Rules of the label checks: what counts as a finding, and what to do about it.

Each rule uses the tables of one reading. The criterion of a heuristic is documented at its rule.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.sources.label_scan import Ints, Odd
from unetprep.sources.label_values import Labels, class_like, gradual_values, unlabelled

NUM_PLACES = 100  # listed with a finding

RANGES = (255, 65535)  # what uint8 and uint16 can number
IN_USE = 0.9  # nearly all of it
FAR_SIDES = 4  # components so many widths apart belong to different cells
FAR_IDS = 3
SATURATED_PIECES = 5  # times as many pieces as a cell usually has

NEAREST = "resize the original labels without interpolation (nearest, order 0), and save them as PNG or TIFF, not JPEG"
RENUMBER = "number the cells again from 1 and save them as uint16 or int32"
NONE = Odd(0, np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True)
class Place:
    """A place of a finding, (z, y, x) or (y, x), and its properties, such as the label."""

    at: tuple[int, ...]
    what: dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """A finding of a `rule`: its `count`, a `message`, the remedy (`hint`), and its first `places`."""

    rule: str
    count: int
    message: str
    hint: str
    places: list[Place]


def judge(labels: Labels, tiny_px: int, ignored: Sequence[str] = ()) -> list[Finding]:
    """Apply all rules except those that are ignored.

    Rules that take values as labels of cells are skipped where values are interpolated, unless that rule is ignored.
    """
    found = [*_empty(labels), *_binary(labels), *_float(labels), *_overflow(labels), *_interpolated(labels)]
    if "interpolated" in ignored or not any(finding.rule == "interpolated" for finding in found):
        found += [
            *(list(_wrapped(labels)) or _classes(labels)),
            *_saturated(labels),
            *_split(labels),
            *_tiny(labels, tiny_px),
            *_touching(labels),
        ]
    return [finding for finding in found if finding.rule not in ignored]


def _empty(labels: Labels) -> Iterator[Finding]:
    if not labels.num_cells and not labels.survey.odd:
        message = "no cells: every pixel is background or ignored"
        yield Finding("empty", 0, message, "check that this is the label image, and was not scaled to 0..1", [])


def _binary(labels: Labels) -> Iterator[Finding]:
    pieces = labels.survey.components
    if len(labels.values) == 1 and len(pieces.value) > 1:
        message = f"a binary mask: separate pieces of the only number {labels.values[0]}: {len(pieces.value)}"
        hint = "import it with --instances components, which numbers the pieces; cells that touch will be one"
        yield Finding("binary", len(pieces.value), message, hint, _places(labels, pieces.place, px=pieces.size_px))


def _float(labels: Labels) -> Iterator[Finding]:
    if np.dtype(labels.dtype).kind == "f":
        odd = labels.survey.odd.get("not finite", NONE)
        message = f"real numbers ({labels.dtype}), not finite in pixels: {odd.count}"
        hint = "save them as integers: import takes no others"
        yield Finding("float", odd.count, message, hint, _places(labels, odd.place, value=odd.value))


def _overflow(labels: Labels) -> Iterator[Finding]:
    """Values that are no valid label."""
    for kind, if_not in (("negative", "if a small integer type wrapped round"), ("too large", "if not")):
        if odd := labels.survey.odd.get(kind):
            value = odd.value[0].item()
            message = f"pixels whose value is {kind}: {odd.count}, such as {value}"
            hint = f"if {value} marks pixels to be left out: --ignore-label {value}; {if_not}, {RENUMBER}"
            yield Finding("overflow", odd.count, message, hint, _places(labels, odd.place, value=odd.value))


def _interpolated(labels: Labels) -> Iterator[Finding]:
    if found := gradual_values(labels):
        places = _places(labels, found.place, **found.what)
        yield Finding("interpolated", found.count, found.message, NEAREST, places)


def _classes(labels: Labels) -> Iterator[Finding]:
    found = class_like(labels)
    if found and found.certain:
        hint = "if they are classes, import them with --num-classes or --instances components; if each piece of a"
        hint += " number is a cell: --instances pieces"
        if found.unlabelled is not None:
            hint += f"; if {found.unlabelled} marks pixels to be left out: --ignore-label {found.unlabelled}"
        places = _places(labels, found.place, id=found.values, pieces=found.num_pieces)
        yield Finding("classes", len(found.values), found.message, hint, places)
    elif marked := unlabelled(labels):
        places = _places(labels, np.array([marked.place]), id=np.array([marked.value]))
        yield Finding("classes", 1, marked.message, f"if it does: --ignore-label {marked.value}", places)


def _wrapped(labels: Labels) -> Iterator[Finding]:
    """Labels that wrapped round in a small dtype: nearly all are in use, and some by two distant cells."""
    pieces, values, far = labels.survey.components, labels.values, _far_apart(labels)
    top = next((top for top in RANGES if values.max(initial=0) <= top), np.inf)
    if len(values) >= IN_USE * top and len(far) >= FAR_IDS:
        message = f"numbers of pieces far apart, while nearly all of 1 to {top} are in use: {len(far)}"
        hint = f"there were more cells than numbers: {RENUMBER}"
        places = _places(labels, pieces.place[far], id=pieces.value[far], px=pieces.size_px[far])
        yield Finding("overflow", len(far), message, hint, places)


def _far_apart(labels: Labels) -> Ints:
    """Second components of labels that seem to hold two cells: of similar size as the largest, and far from it."""
    pieces, cell = labels.survey.components, labels.cell
    order = np.lexsort((-pieces.size_px, cell))
    first = np.flatnonzero(np.diff(cell[order], prepend=-1))
    first = first[np.bincount(cell) > 1]
    one, two = order[first], order[first + 1]
    places = [np.stack(np.unravel_index(pieces.place[which], labels.survey.shape)) for which in (one, two)]
    distance = np.linalg.norm(places[0] - places[1], axis=0)
    far = distance > FAR_SIDES * pieces.size_px[one] ** (1 / labels.dims)
    return np.sort(two[far & (4 * pieces.size_px[two] >= pieces.size_px[one])])


def _saturated(labels: Labels) -> Iterator[Finding]:
    """The largest value of a dtype, in many more components than other labels."""
    pieces = labels.survey.components
    largest = np.iinfo(labels.dtype).max if np.dtype(labels.dtype).kind in "ui" else -1
    parts = np.flatnonzero(pieces.value == largest)
    if len(labels.values) > 1 and len(parts) >= SATURATED_PIECES * np.median(np.bincount(labels.cell)):
        message = f"pieces of the number {largest}, the largest that {labels.dtype} can hold: {len(parts)}"
        hint = f"if it marks pixels to be left out: --ignore-label {largest}; if numbers were cut off there, {RENUMBER}"
        places = _places(labels, pieces.place[parts], px=pieces.size_px[parts])
        yield Finding("overflow", len(parts), message, hint, places)


def _split(labels: Labels) -> Iterator[Finding]:
    pieces, parts = labels.survey.components, np.bincount(labels.cell)
    if len(labels.values) < 2 or not (parts > 1).any():
        return
    order = np.lexsort((pieces.size_px, labels.cell))
    least = order[np.flatnonzero(np.diff(labels.cell[order], prepend=-1))][parts > 1]  # of each, the smallest piece
    num = parts[parts > 1]
    worst = np.lexsort((pieces.place[least], -num))
    least, num = least[worst], num[worst]
    hint = "give each piece a number of its own, or erase what was left by mistake"
    if labels.dims == 2 and labels.survey.shape[0] > 1:
        hint += "; if the slices are one volume: --dims 3"
    message = f"cells in several pieces: {len(least)}, such as number {pieces.value[least[0]]} in {num[0]}"
    places = _places(labels, pieces.place[least], id=pieces.value[least], pieces=num, px=pieces.size_px[least])
    yield Finding("split", len(least), message, hint, places)


def _tiny(labels: Labels, tiny_px: int) -> Iterator[Finding]:
    pieces = labels.survey.components
    tiny = np.flatnonzero(pieces.size_px < tiny_px)
    if len(tiny):
        message = f"pieces of fewer than {tiny_px} pixels: {len(tiny)}"
        hint = "erase them, or give them the number of the cell beside them; --tiny sets the limit"
        places = _places(labels, pieces.place[tiny], id=pieces.value[tiny], px=pieces.size_px[tiny])
        yield Finding("tiny", len(tiny), message, hint, places)


def _touching(labels: Labels) -> Iterator[Finding]:
    contacts = labels.survey.contacts
    if count := len(contacts.place):
        message = f"pairs of cells without background between them: {count}, at {labels.survey.touching_px} pixels"
        hint = "nothing, if each is a cell of its own: unetprep weights puts background between them (--separate)"
        places = _places(labels, contacts.place, id=contacts.low, other=contacts.high)
        yield Finding("touching", count, message, hint, places)


def _places(labels: Labels, place: Ints, **what: NDArray[Any]) -> list[Place]:
    """The first places of a finding, each with its value of every array in `what`."""
    first = np.transpose(np.unravel_index(place[:NUM_PLACES], labels.survey.shape))
    axes = slice(labels.survey.shape[0] == 1, None)  # a single slice needs no z
    return [Place(tuple(at[axes].tolist()), {n: v[k].item() for n, v in what.items()}) for k, at in enumerate(first)]
