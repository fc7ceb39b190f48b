"""The notebooks run from top to bottom, show figures with content, and are built from their texts."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from notebooks.build import INSTALLATION, PAGES, html, notebook, sources, with_mathml, written

from tests.notebooks.runner import BadFigure, run

ROOT = Path(__file__).parents[2]
NUCLEI = PAGES / "nuclei"
TIMEOUT_S = 550
NOTEBOOKS = pytest.mark.parametrize("source", sources(), ids=[source.stem for source in sources()])


def ran(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A notebook, run in a process of its own and in a folder where it finds its data."""
    command = [sys.executable, "-m", "tests.notebooks.runner", str(source)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@NOTEBOOKS
def test_it_runs_and_its_figures_have_content(source: Path, tmp_path: Path) -> None:
    if not NUCLEI.is_dir():
        pytest.fail(f"{NUCLEI} is missing: unetprep fetch nuclei --out {NUCLEI.relative_to(ROOT)} (make test does)")
    shutil.copytree(NUCLEI, tmp_path / "nuclei")
    done = ran(source, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert int(re.findall(r"figures shown: (\d+)", done.stdout)[-1]) >= 4


@NOTEBOOKS
def test_the_ipynb_is_what_the_text_gives(source: Path) -> None:
    built = source.with_suffix(".ipynb")
    assert built.is_file(), "build it: make notebooks"
    assert built.read_text("utf-8") == written(source), "build it again: make notebooks"


@pytest.mark.parametrize("source", sources(), ids=lambda path: path.stem)
def test_a_page_shows_its_formulas_without_a_connection(source: Path) -> None:
    page, text = html(notebook(source), source.stem), source.read_text("utf-8")
    assert ("<math" in page) == ("$" in text)
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=.?https?:", page)
    markdown = re.sub(r"<pre.*?</pre>|<style.*?</style>|<script.*?</script>|<code.*?</code>", "", page, flags=re.DOTALL)
    assert "$" not in markdown


def test_formulas_become_mathml_and_code_stays() -> None:
    assert with_mathml("a `$x$` b") == "a `$x$` b"
    found = with_mathml("of $J \\le\n0$:\n\n$$x = 1$$")
    assert found.count("<math") == 2
    assert found.count('display="block"') == 1
    assert "&#x02264;" in found or "\u2264" in found


def test_the_first_cell_only_installs_what_is_missing(tmp_path: Path) -> None:
    other = tmp_path / "1_other.py"
    other.write_text("# %%\nimport numpy\n")
    with pytest.raises(ValueError, match=r"the first cell of code of 1_other\.py is not build\.INSTALLATION"):
        written(other)
    other.write_text(f"# %%\n{INSTALLATION}\n")
    assert written(other) == written(other)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("raise RuntimeError('broken')", "broken"),
        ("plt.plot([0, 1])", r"a figure after figure 0 was not shown; call plt\.show\(\)"),
        ("plt.plot([1, 1])\nplt.show()", "figure 1 of bad.py: axes 0 '': the data are constant"),
        ("plt.plot([0, 1])\nplt.show()\nplt.figure()\nplt.show()", "figure 2 of bad.py: a figure without axes"),
    ],
    ids=["error", "unshown", "constant", "empty"],
)
def test_a_bad_notebook_is_noticed(text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plt, "show", plt.show)  # put back afterwards what the runner replaces
    notebook = tmp_path / "bad.py"
    notebook.write_text("import matplotlib.pyplot as plt\n" + text)
    try:
        with pytest.raises((BadFigure, RuntimeError), match=fault):
            run(notebook)
    finally:
        plt.close("all")


def test_a_notebook_meets_no_network_and_no_warning(tmp_path: Path) -> None:
    notebook = tmp_path / "bad.py"
    notebook.write_text(
        "import socket, warnings\n"
        "try:\n    warnings.warn('odd')\nexcept UserWarning:\n    socket.create_connection(('192.0.2.1', 9))"
    )
    done = ran(notebook, tmp_path)
    assert done.returncode == 1
    assert "OSError: a notebook connects to ('192.0.2.1', 9)" in done.stderr
