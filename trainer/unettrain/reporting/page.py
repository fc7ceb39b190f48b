"""HTML building blocks. All text is escaped; only these functions produce values of type `Html`."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NewType

import numpy as np

from unetprep.pictures import Picture
from unettrain import __version__
from unettrain.reporting.pictures import png_uri

Html = NewType("Html", str)

VOID = ("img", "meta")
GENERATOR = "unettrain report"  # in the head of a page; identifies it as a report
SMOOTH_FROM_PX = 300  # narrower pictures are enlarged without smoothing
NOTHING = Html("")
CHART_STYLE = Path(__file__).with_name("chart.css").read_text()  # of charts, on the page and in files of their own


def text(words: object) -> Html:
    """A value as escaped text."""
    return Html(escape(str(words)))


def join(parts: Iterable[Html]) -> Html:
    """Concatenated parts."""
    return Html("".join(parts))


def element(tag: str, *children: Html, **attributes: object) -> Html:
    """One element. Attribute names: `class_` becomes class, `stroke_width` becomes stroke-width."""
    said = "".join(f' {k.rstrip("_").replace("_", "-")}="{escape(str(v))}"' for k, v in attributes.items())
    return Html(f"<{tag}{said}>" if tag in VOID else f"<{tag}{said}>{''.join(children)}</{tag}>")


def paragraph(words: str, kind: str = "") -> Html:
    """A paragraph of plain text; `kind` is its class in page.css."""
    return element("p", text(words), class_=kind) if kind else element("p", text(words))


def warning(words: str) -> Html:
    """A highlighted paragraph."""
    return element("p", element("strong", text("Note. ")), text(words), class_="warning", role="note")


def section(anchor: str, title: str, *content: Html) -> Html:
    """A titled part of the page."""
    return element("section", element("h2", text(title)), *content, id=anchor)


def picture(pixels: Picture, alt: str, marks: Html = NOTHING) -> Html:
    """Pixels (y, x, 3) as an image; `marks` are SVG shapes in pixel coordinates drawn over it."""
    height, width = pixels.shape[:2]
    kind = "sharp" if width < SMOOTH_FROM_PX else "smooth"
    image = element("img", src=png_uri(pixels), alt=alt, width=width, height=height, class_=kind)
    over = element("svg", marks, viewBox=f"0 0 {width} {height}", aria_hidden="true") if marks else NOTHING
    return element("div", image, over, class_="picture")


def figure(content: Html, title: str, caption: str, *below: Html) -> Html:
    """A picture or chart; `below` (a colour bar, a legend) comes before the caption."""
    words = element("figcaption", element("b", text(title)), text(f" {caption}" if caption else ""))
    return element("figure", content, *below, words)


def grid(*figures: Html, kind: str = "two") -> Html:
    """Figures in a grid, in a single column on narrow screens. `kind`: one, two, three or four columns."""
    return element("div", *figures, class_=f"grid {kind}")


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """A legend of colours, from pairs (CSS colour, words)."""
    items = (
        element("li", element("span", class_="swatch", style=f"background:{colour}"), text(words))
        for colour, words in entries
    )
    return element("ul", *items, class_="legend")


def colour_bar(anchors: Sequence[str], ticks: Sequence[float], low: float, high: float) -> Html:
    """A colour map from `low` to `high`, with tick values below it."""
    marks = (
        element("span", text(f"{tick:g}"), style=f"left:{100 * (tick - low) / (high - low):.2f}%") for tick in ticks
    )
    ramp = element("div", class_="ramp", style=f"background:linear-gradient(to right,{','.join(anchors)})")
    return element("div", ramp, element("div", *marks, class_="ticks"), class_="bar", aria_hidden="true")


def bar(share: float, kind: str) -> Html:
    """A small horizontal bar, full at 1."""
    width = 100 * float(np.clip(share, 0, 1))
    return element("span", element("span", class_=f"fill {kind}", style=f"width:{width:.1f}%"), class_="track")


def number(words: str) -> Html:
    """A number whose digits have equal widths."""
    return element("span", text(words), class_="number")


def table(head: Sequence[str], rows: Iterable[Sequence[Html]], kind: str = "") -> Html:
    """A table that scrolls in its own box if it is too wide. The first cell of a row is its header."""
    titles = element("tr", *(element("th", text(title), scope="col") for title in head))
    lines = (
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    )
    body = element("table", element("thead", titles), element("tbody", *lines))
    return element("div", body, class_=f"scroll {kind}".strip(), tabindex="0")


def code(lines: Sequence[str]) -> Html:
    """Commands, one a line."""
    return element("pre", element("code", text("\n".join(lines))), tabindex="0")


def document(title: str, body: Html) -> str:
    """The whole page, with its style sheet in it."""
    style = CHART_STYLE + Path(__file__).with_name("page.css").read_text()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"{GENERATOR} {__version__}"),
        element("title", text(title)),
        element("style", Html(style)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, element("body", element("main", body)), lang="en") + "\n"
