"""Units and pixel sizes of files."""

from unetprep.sources.units import pixel_size_of


def test_a_converted_size_is_a_round_number() -> None:
    sizes, units = {"z": 2.0, "y": 500.0, "x": 500.0}, {"z": "\u00b5m", "y": "nm", "x": "nm"}
    assert pixel_size_of(sizes, units) == ((2000.0, 500.0, 500.0), "nanometer")
    assert pixel_size_of(sizes, units | {"z": "furlong"}) == ((None, 500.0, 500.0), "nanometer")
