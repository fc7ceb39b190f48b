"""Atomic replacement of local files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.storage.conftest import Asked
from unetprep.storage.atomic import replacing
from unetprep.storage.local import LocalStorage
from unetprep.storage.lock import locked


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("moment", ["write", "replace", "lock"])
def test_a_signal_during_a_write_leaves_a_whole_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raising: Callable[[], None], moment: str
) -> None:
    replace, link = os.replace, os.link

    def put(source: Path, target: Path) -> None:
        raising()
        replace(source, target)

    def new(source: Path, target: Path) -> None:
        raising()
        link(source, target)

    if moment == "replace":
        monkeypatch.setattr(os, "replace", put)
    if moment == "lock":
        monkeypatch.setattr(os, "link", new)
        with pytest.raises(Asked), locked(LocalStorage(str(tmp_path / "run")), str(tmp_path / "run")):
            raise AssertionError
        assert names(tmp_path) == []
        return
    with pytest.raises(Asked), replacing(tmp_path / "x") as file:  # noqa: PT012
        file.write(b"one")
        if moment == "write":
            raising()
        file.write(b"two")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("x", b"onetwo")]
