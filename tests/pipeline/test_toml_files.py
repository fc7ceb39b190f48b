"""TOML files that are not trusted."""

from pathlib import Path

import pytest

from unetprep.errors import InvalidInput
from unetprep.toml_files import MAX_BYTES, read_toml


def test_tables_are_returned_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('title = "Zellkörper"\n[weights]\nsigma = 5\nspacing = [4, 1.5]\n')
    expected = {"title": "Zellkörper", "weights": {"sigma": 5, "spacing": [4, 1.5]}}
    assert read_toml(tmp_path / "a.toml", "the recipe") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "a.toml is not TOML"),
        (b"a = '\xff'", "a.toml is not TOML"),
        (b"a = " + b"9" * 5000, "a.toml is not TOML"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "a.toml is not TOML: its values are nested too deeply"),
        (b"#" * (MAX_BYTES + 1), "a.toml"),
    ],
)
def test_other_content_is_one_error_that_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_toml(tmp_path / "a.toml", "the recipe")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"the recipe .*none\.toml is not there"):
        read_toml(tmp_path / "none.toml", "the recipe")
    with pytest.raises(InvalidInput, match=r"the recipe .* is a folder\n  allowed: a TOML file"):
        read_toml(tmp_path, "the recipe")
