"""Names and paths from documents that are not trusted."""

from pathlib import Path

import pytest

from unetprep.errors import InvalidInput
from unetprep.storage.paths import below, safe_key, safe_name

NO_NAMES = ["", ".", "..", "/etc", "a/b", "../b", "a\\b", "a\0b", "a\nb", "a\x1b[2J", "x" * 256, None, 5, ["a"]]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_plain_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidInput, match=r"^the names of X: .* cannot be a name\n  allowed: one plain file"):
        safe_name(name, "the names of X")


@pytest.mark.parametrize("key", ["..", "a/../b", "/a", "a//b", "a/", "./a", "a/\0", "a\\..\\b", None])
def test_a_path_that_leaves_its_root_is_refused(key: object) -> None:
    with pytest.raises(InvalidInput, match="cannot be a path below it"):
        safe_key(key, "a document")


def test_plain_names_and_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in ("a", "a b", "...", "..a", "é", "50%", "x" * 255):
        assert safe_name(name, "") == name
        assert below(tmp_path, f"images/{name}/image") == tmp_path / "images" / name / "image"
    assert below(tmp_path, "") == tmp_path
