"""Building of the notebooks: .ipynb from the text in this folder, and pages of HTML with outputs from running them.

    python notebooks/build.py            # rewrite notebooks/*.ipynb
    python notebooks/build.py --html     # also run them in build/notebooks, and write build/notebooks/*.html
    python notebooks/build.py --html 2   # those whose name begins with 2

The text (jupytext's py:percent) is what one edits. The .ipynb have no outputs, and depend on the text alone: building
them again gives the same bytes.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from latex2mathml.converter import convert
from nbclient import NotebookClient
from nbconvert import HTMLExporter

FOLDER = Path(__file__).parent
PAGES = FOLDER.parent / "build" / "notebooks"
TIMEOUT_S = 600
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
CODE_OR_FORMULA = re.compile(r"`[^`]*`|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$]+)\$", re.DOTALL)
INSTALLATION = """\
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("unetprep") is None:  # as on Kaggle and Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "unetprep[all]"], check=True)"""


def sources(beginning: str = "") -> list[Path]:
    """The texts of the notebooks, in the order in which they are read."""
    return sorted(FOLDER.glob(f"{beginning or '[0-9]'}*_*.py"))


def notebook(source: Path) -> Any:
    """The notebook (nbformat 4.5, without outputs) that a text gives. Ids of cells are their numbers.

    Raises ValueError if the first cell of code is not `INSTALLATION`.
    """
    found = jupytext.reads(source.read_text("utf-8"), fmt="py:percent")
    code = [cell.source for cell in found.cells if cell.cell_type == "code"]
    if code[:1] != [INSTALLATION]:
        raise ValueError(f"the first cell of code of {source.name} is not build.INSTALLATION, but: {code[:1]}")
    for k, cell in enumerate(found.cells):
        cell.update(id=f"cell-{k:03}", metadata={}, source=cell.source.strip("\n"))  # ruff leaves lines before a def
    found.update(metadata=nbformat.from_dict(METADATA), nbformat=4, nbformat_minor=5)
    nbformat.validate(found)
    return found


def written(source: Path) -> str:
    """The content of the .ipynb that a text gives."""
    return str(nbformat.writes(notebook(source))) + "\n"


def page(source: Path) -> str:
    """HTML of a notebook with its outputs. It runs in `PAGES`, where it finds or fetches its data."""
    book = notebook(source)
    NotebookClient(book, timeout=TIMEOUT_S, resources={"metadata": {"path": str(PAGES)}}).execute()
    return html(book, source.stem)


def html(book: Any, title: str) -> str:
    """A page that needs no connection: formulas are MathML, and no script is of another server."""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = with_mathml(cell.source)
    exporter = HTMLExporter(mathjax_url="", require_js_url="")
    return str(exporter.from_notebook_node(book, {"metadata": {"name": title}})[0])


def with_mathml(text: str) -> str:
    """Markdown with its LaTeX formulas as MathML, which browsers show by themselves."""

    def converted(found: re.Match[str]) -> str:
        block, inline = found["block"], found["inline"]
        return convert(block, display="block") if block else convert(inline) if inline else found[0]

    return CODE_OR_FORMULA.sub(converted, text)


def main() -> None:
    """Build the notebooks that the command line asks for."""
    parser = argparse.ArgumentParser(description="Build the notebooks.")
    parser.add_argument("beginning", nargs="?", default="", help="of the name of those to build; by default all")
    parser.add_argument("--html", action="store_true", help="run them, and write pages with their outputs")
    options = parser.parse_args()
    PAGES.mkdir(parents=True, exist_ok=True)
    for source in sources(options.beginning):
        source.with_suffix(".ipynb").write_text(written(source), "utf-8")
        if options.html:
            (PAGES / f"{source.stem}.html").write_text(page(source), "utf-8")
        print(f"built {source.stem}")


if __name__ == "__main__":
    main()
