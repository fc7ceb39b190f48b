"""Dot charts of the scores of variants."""

import math
import re
from xml.etree import ElementTree

import pytest

from tests.trainer.reporting.helpers import Page
from unettrain.errors import InvalidInput
from unettrain.reporting.dot_chart import Variant, dot_chart, svg_file

VARIANTS = [Variant("base", [0.5, 0.6, 0.7]), Variant("no <deform>", [0.2, 0.4, 0.3])]


def test_dots_and_means_lie_where_they_belong() -> None:
    chart = dot_chart(VARIANTS, "AP", "AP at IoU 0.5", (0.0, 1.0), "base")
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)
    base, other = (
        [("454.0", "43"), ("491.2", "43"), ("528.4", "43")],
        [("342.4", "69"), ("416.8", "69"), ("379.6", "69")],
    )
    assert dots == base + other
    assert re.findall(r'<path d="(\S+) (\S+)" class="(mean|reference)"', chart) == [
        ("M491.2", "30V82", "reference"), ("M491.2", "35v16", "mean"), ("M379.6", "61v16", "mean"),
    ]  # fmt: skip
    words = Page(chart).words.split("\n")
    assert {"base", "no <deform>", "0.600", "0.300", "0.2", "AP at IoU 0.5"} <= set(words)
    assert 'aria-label="AP. Means: base 0.600; no &lt;deform&gt; 0.300"' in chart


def test_the_range_is_by_default_that_of_the_scores() -> None:
    chart = dot_chart([Variant("a", [0.25, 0.75])], "d", "x")
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', chart)]
    assert 268 < places[0] < 300
    assert 610 < places[1] < 640
    assert 'cx="454.0"' in dot_chart([Variant("a", [0.5])], "d", "x")


def test_a_long_name_is_cut_and_kept_as_a_title() -> None:
    name = "a name that is much longer than the space for it"
    assert f"<title>{name}</title>" in dot_chart([Variant(name, [1.0])], "d", "x")


def test_a_file_of_its_own_is_xml_with_its_style() -> None:
    root = ElementTree.fromstring(svg_file(dot_chart(VARIANTS, "d", "x")))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    style = root.find("{http://www.w3.org/2000/svg}style")
    assert style is not None
    assert ".seed" in (style.text or "")


def test_what_cannot_be_drawn_is_refused() -> None:
    for variants, reference, message in (
        ([], None, "there are no variants"),
        ([Variant("a", [])], None, r"'a' has the scores \[\]"),
        ([Variant("a", [math.nan])], None, r"'a' has the scores \[nan\]"),
        (VARIANTS, "other", "the reference is 'other'\n  allowed: base, no <deform>"),
    ):
        with pytest.raises(InvalidInput, match=message):
            dot_chart(variants, "d", "x", reference=reference)
    with pytest.raises(InvalidInput, match=r"scores range from 0\.2 to 0\.7\n  allowed: 0\.3 to 1"):
        dot_chart(VARIANTS, "d", "x", (0.3, 1.0))
