"""Every command and every Python block of README.md and docs/*.md is run, page by page, in order, on small images."""

import ast
import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.docs import laboratory
from tests.docs.blocks import FILE, PAGES, PROGRAMS, ROOT, Block, blocks_of, commands_of, ours_in, parse, words_of
from tests.docs.marks import FINDING, NOT_RUN, SHORTER, mark_of
from tests.docs.marks import PAGES as SETTINGS
from unetprep.params import TilesParams
from unetprep.recipe import read_recipe
from unettrain import trainer

RUN_PAGES = [page for page in PAGES if blocks_of(page)]


def spare_decodings(patch: pytest.MonkeyPatch) -> None:
    """Try one decoding after a training: the choice has tests of its own, and takes longer than these trainings."""
    patch.setattr(trainer, "candidate_decodings", lambda base: (base,))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared part of the laboratory, made once for all processes of pytest."""
    base = tmp_path_factory.getbasetemp()
    common = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "docs-laboratory"
    common.mkdir(exist_ok=True)
    with open(common / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (common / "done").exists():
            with pytest.MonkeyPatch.context() as patch:
                spare_decodings(patch)
                for name in laboratory.SHARED:
                    laboratory.MADE[name](common)
            (common / "done").touch()
    return common


@pytest.fixture
def fill(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Fill the working directory with what a page takes as given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    spare_decodings(monkeypatch)

    def from_laboratory(page: str) -> None:
        given = SETTINGS[page].given
        if "images" in given:
            prepared: Path = request.getfixturevalue("prepared")
            for pattern in " ".join(paths for name, paths in laboratory.SHARED.items() if name in given).split():
                for path in prepared.glob(pattern):
                    (shutil.copytree if path.is_dir() else shutil.copy2)(path, tmp_path / path.name)
        for name in given:
            if name not in laboratory.SHARED:
                laboratory.MADE[name](tmp_path)

    return from_laboratory


@pytest.mark.parametrize("page", RUN_PAGES)
def test_the_commands_of_a_page_run(page: str, fill: Callable[[str], None]) -> None:
    fill(page)
    names = laboratory.names()
    for block in blocks_of(page):
        with named(block):
            if block.language == "python":
                run_python(block, names)
            elif block.language == "toml":
                write(block)
            else:
                for command in commands_of(block):
                    run_command(page, command)


@contextmanager
def named(block: Block) -> Iterator[None]:
    """Name the block in what is raised."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the block at {block.where}")
        raise


def write(block: Block) -> None:
    """Write the file that a block of TOML shows; its first line names it."""
    named_by = FILE.match(block.text)
    assert named_by is not None
    Path(named_by[1]).write_text(replaced(block.page, block.text))


def replaced(page: str, text: str) -> str:
    """The text with what the settings of the page put in the place of parts of it."""
    for before, after in SETTINGS[page].instead.items():
        text = text.replace(before, after)
    return text


def run_command(page: str, command: str) -> None:
    """Run a command line, or parse it if it is marked as not run."""
    if mark_of(page, command) is not None:
        for words in ours_in(command):
            parse(words)
        return
    words = words_of(replaced(page, command))
    assert words[0] in PROGRAMS, f"{command}: not a command of ours; add its mark to tests/docs/marks.py, or correct it"
    words, output = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
    program = " ".join(words[:2])
    result = CliRunner().invoke(PROGRAMS[words[0]], [*words[1:], *SHORTER.get(program, "").split()])
    assert result.exit_code in FINDING.get(program, (0,)), f"{command}: exit code {result.exit_code}\n{result.output}"
    if output is not None:
        Path(output).write_text(result.stdout)


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run a block of Python in the names that the blocks before it left."""
    if mark_of(block.page, block.text) is not None:
        ast.parse(block.text)
        return
    for statement in ast.parse(replaced(block.page, block.text)).body:
        names |= laboratory.batch() if "augment_batch(" in ast.unparse(statement) else {}
        exec(compile(ast.Module([statement], []), block.where, "exec"), names)


def test_every_page_with_commands_has_its_settings() -> None:
    assert set(SETTINGS) | {"docs/index.md"} >= set(RUN_PAGES)


def test_marks_are_used_and_few() -> None:
    """A mark that matches nothing is out of date, and so is a text to replace that is not there."""
    used: Counter[tuple[str, str]] = Counter()
    num_run = 0
    for page in RUN_PAGES:
        texts = [b.text for b in blocks_of(page)]
        for before in SETTINGS[page].instead:
            assert any(before in text for text in texts), f"{page} no longer holds {before!r}"
        for block in blocks_of(page):
            if block.language == "toml":
                continue
            for command in [block.text] if block.language == "python" else commands_of(block):
                key = mark_of(page, command)
                num_run += key is None
                used[page if key in NOT_RUN.get(page, {}) else "*", key or ""] += key is not None
    marks = {(page, key) for page, keys in NOT_RUN.items() for key in keys}
    assert not marks - set(+used), "marks that match no command"
    num_marked = used.total()
    assert num_marked < num_run, f"{num_marked} commands are not run, {num_run} are"


def test_the_tiles_for_the_fast_preset_are_a_recipe(tmp_path: Path) -> None:
    """The lines that start-biologist.md adds to its recipe give legal tiles, and those that the preset is meant for."""
    page = (ROOT / "docs/start-biologist.md").read_text()
    recipe = page.partition("```toml\n")[2].partition("```")[0]
    lines = page.partition("    [tiles]\n")[2].partition("\n\n")[0]
    (tmp_path / "cells.toml").write_text(f"{recipe}\n[tiles]\n{lines}")
    tiles = read_recipe(str(tmp_path / "cells.toml")).stages["tiles"]
    assert isinstance(tiles, TilesParams)
    assert f"--depth {tiles.depth} --tile {tiles.tile_px}" in (ROOT / "docs/training.md").read_text()
