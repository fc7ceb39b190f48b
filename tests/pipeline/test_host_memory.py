"""Memory limits, read from the files of a fake control group."""

from pathlib import Path

import pytest

from unetprep import host_memory


def group(folder: Path, limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def test_the_machine_has_more_memory_in_all_than_is_available() -> None:
    total, available = host_memory.total_memory(), host_memory.available_memory()
    assert total is not None
    assert available is not None
    assert 0 < available <= total


def test_a_group_has_the_smallest_limit_of_itself_and_its_parents(tmp_path: Path) -> None:
    group(tmp_path, "9000", 4000, 500)
    group(tmp_path / "a", "7000", 1000, 0)
    group(tmp_path / "a" / "b", "max", 10, 0)
    limits = list(host_memory._of_group(tmp_path, "/a/b", "memory.max", "memory.current", "inactive_file"))
    assert limits == [(7000, 6000), (9000, 5500)]


def test_a_container_limit_is_less_than_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "_of_cgroups", lambda: iter([host_memory._Limit(3000, -20)]))
    assert host_memory.total_memory() == 3000
    assert host_memory.available_memory() == 0


def test_unknown_memory_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "_limits", lambda: iter(()))
    assert host_memory.total_memory() is None
    assert host_memory.available_memory() is None
