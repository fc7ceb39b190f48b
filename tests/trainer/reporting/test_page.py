"""HTML elements of a page."""

from unettrain.reporting.page import colour_bar, element, table, text
from unettrain.reporting.pictures import (
    VIRIDIS,
)


def test_elements_escape_what_they_are_given() -> None:
    assert element("p", text("<&>"), class_="a", stroke_width='"2"') == (
        '<p class="a" stroke-width="&quot;2&quot;">&lt;&amp;&gt;</p>'
    )
    assert "<th scope=\"col\">a&amp;b</th>" in table(["a&b"], [[text("<")]])  # fmt: skip
    assert 'style="left:50.00%">5<' in colour_bar(VIRIDIS, [5], 0, 10)
