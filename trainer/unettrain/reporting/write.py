"""Assembly of the report: one self-contained HTML file, and the scores as JSON."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import unetprep.errors
from unetprep.storage.output import Output, OutputKind, check_output
from unettrain.errors import Conflict, Failure, InvalidInput, raises_own_errors
from unettrain.metrics.cell_errors import ErrorCounts
from unettrain.metrics.scores import Scores
from unettrain.reporting.augmentation_section import augmentation_section
from unettrain.reporting.commands_section import footer, making_section
from unettrain.reporting.data_section import data_section
from unettrain.reporting.errors_section import errors_section
from unettrain.reporting.images_section import images_section
from unettrain.reporting.inputs import Run, read_run
from unettrain.reporting.page import GENERATOR, document, join
from unettrain.reporting.precision import rounded, uncertainty
from unettrain.reporting.region_scores import RegionScores, worst_first
from unettrain.reporting.result_sections import prediction_section, training_section
from unettrain.reporting.scores import METHODS, score_held_out
from unettrain.reporting.summary_section import head, short_name
from unettrain.reporting.tile_sections import deformation_section, tile_section


@dataclass(frozen=True)
class Report:
    """A written report: its path, the pooled scores of each method (trained, untrained, otsu), and the images scored.

    `split` is the split of the images: "test", or the best one that has any. `seed` is that of the training. `regions`
    are the images or slices with their scores and errors, worst first; `errors` are the numbers of all errors.
    """

    path: Path
    scores: Mapping[str, Scores]
    split: str
    images: tuple[str, ...]
    seed: int
    regions: tuple[RegionScores, ...]
    errors: ErrorCounts

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        methods = {name: scores.as_dict() for name, scores in self.scores.items()}
        about = {"split": self.split, "images": list(self.images), "seed": self.seed, "errors": self.errors.as_dict()}
        regions = {"regions": [found.as_dict() for found in self.regions]}
        return {"out": str(self.path), "scores": methods | about | regions}

    def as_text(self) -> str:
        """The scores as a table, one line for each method, and what they rest on."""
        lines = [f"{'':<10}" + "".join(f"{h:>9}" for h in ("IoU", "AP 0.5", "AP 0.7", "AP 0.9", "mean AP"))]
        for name, found in self.scores.items():
            values = [found.pixels.iou, *(found.ap[t] for t in (0.5, 0.7, 0.9)), found.mean_ap]
            lines.append(f"{name:<10}" + "".join(f"{rounded(v, found):>9}" for v in values))
        return "\n".join([*lines, uncertainty(self.scores["trained"], self.seed)])


@raises_own_errors
def report(run_dir: str | Path, out: str | Path | None = None, store: str | Path | None = None) -> Report:
    """Write the report of a run to `out` (default: RUN/report.html), and its scores to RUN/scores.json.

    `store` replaces the path of the store that the run records. Predicts at most about four million
    pixels of held-out images, twice. The same run, store and software give the same page.

    An earlier report is replaced. Raises InvalidInput if run, network or store are missing, naming the command that
    makes them, and if `out` cannot be written; Conflict if `out` exists and is not a report.

        print(unettrain.report("runs/ds").as_text())
    """
    run = read_run(run_dir, store)
    with _our_errors():
        page, scores_file = _outputs(run, out)
    held_out = score_held_out(run)
    parts = [
        head(run, held_out),
        data_section(run),
        deformation_section(run),
        augmentation_section(run),
        tile_section(run),
        training_section(run),
        prediction_section(held_out),
        images_section(held_out),
        errors_section(held_out),
        making_section(run),
        footer(),
    ]
    html = document(f"U-Net report: {short_name(run)}", join(parts))
    written = Report(
        page.path,
        held_out.scores,
        held_out.split,
        tuple(held_out.names),
        held_out.seed,
        tuple(worst_first(held_out.regions)),
        held_out.errors,
    )
    with _our_errors():
        page.write_bytes(html.encode())
        scores_file.write_bytes(json.dumps(written.as_dict()["scores"], indent=2).encode() + b"\n")
    return written


def is_page(path: Path) -> bool:
    """Whether a file is a page that `report` wrote, as its head says."""
    with path.open("rb") as file:
        return f'<meta name="generator" content="{GENERATOR}'.encode() in file.read(4096)


def is_scores(path: Path) -> bool:
    """Whether a file holds the scores of a report."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(found, dict) and set(METHODS) <= set(found)


def _outputs(run: Run, out: str | Path | None) -> tuple[Output, Output]:
    """Check both outputs before anything is computed."""
    kinds = OutputKind(GENERATOR, (".html", ".htm"), is_page), OutputKind(GENERATOR, (".json",), is_scores)
    places = out or run.files.path / "report.html", run.files.path / "scores.json"
    page, scores = (
        check_output(place, kind, overwrite=True, inputs=(run.store, run.files.path))
        for place, kind in zip(places, kinds, strict=True)
    )
    return page, scores


@contextmanager
def _our_errors() -> Iterator[None]:
    """Errors of the pipeline's writer as errors of the trainer."""
    try:
        yield
    except unetprep.errors.InvalidInput as error:
        raise InvalidInput(str(error)) from None
    except unetprep.errors.Conflict as error:
        raise Conflict(str(error)) from None
    except (unetprep.errors.Failure, OSError) as error:
        raise Failure(str(error)) from None
