"""Assembly of the report: one self-contained HTML file, and the scores as JSON."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unettrain.errors import Failure
from unettrain.report.data_section import data_section
from unettrain.report.head import head, short_name
from unettrain.report.page import document, join
from unettrain.report.provenance import footer, making_section
from unettrain.report.result_sections import prediction_section, training_section
from unettrain.report.scores import score_held_out
from unettrain.report.source import read_run
from unettrain.report.tile_sections import deformation_section, tile_section


@dataclass(frozen=True)
class Report:
    """Where the page lies, and the scores it shows: trained, untrained, otsu; split; images, those used."""

    path: Path
    scores: dict[str, Any]


def write_report(run_dir: str | Path, out: str | Path | None = None, store: str | Path | None = None) -> Report:
    """Write the report of a run to `out` (default: RUN/report.html), and its scores to RUN/scores.json.

    `store` takes the place of the store that the run records, which may have moved. Predicts at most about four million
    pixels of held-out images, twice. The same run, store and software give the same page.

    Raises InvalidInput where there is no run, no network or no store, naming the command that makes it.
    """
    run = read_run(run_dir, store)
    held_out = score_held_out(run)
    parts = [
        head(run, held_out),
        data_section(run),
        deformation_section(run),
        tile_section(run),
        training_section(run),
        prediction_section(held_out),
        making_section(run),
        footer(),
    ]
    path, scores = Path(out) if out else run.files.path / "report.html", held_out.as_dict()
    _write(path, document(f"U-Net report: {short_name(run)}", join(parts)))
    _write(run.files.path / "scores.json", json.dumps(scores, indent=2) + "\n")
    return Report(path, scores)


def _write(path: Path, content: str) -> None:
    """Write a file whole beside its place, then move it there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(content, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}", hint="another place: --out FILE") from None
    finally:
        beside.unlink(missing_ok=True)
