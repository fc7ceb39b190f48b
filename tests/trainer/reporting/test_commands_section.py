"""The commands that a report lists."""

from unettrain.reporting.commands_section import option


def test_options_are_written_as_they_are_typed() -> None:
    assert option("base_channels", 8) == ["--base-channels", "8"]
    assert option("deform", False) == ["--no-deform"]
    assert option("class_weights", [0.5, 2.0]) == ["--class-weights", "0.5,2.0"]
