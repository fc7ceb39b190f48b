"""Tables and figures of docs/results.md, from the files of benchmarks/results alone.

python -m benchmarks.accuracy.results
"""

import json
from collections.abc import Callable, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import described
from unettrain.reporting.dot_chart import Variant, dot_chart, svg_file

ROOT = Path(__file__).parents[2]
RESULTS, DOCS = ROOT / "benchmarks/results", ROOT / "docs"
DECODINGS = ("chosen", "watershed", "components")
LENGTH = ("steps", "seconds")  # of the trainings
IOUS = ("0.50", "0.60", "0.70", "0.80", "0.90")
METRICS = {
    "v_rand": "V_rand",
    "v_info": "V_info",
    "rand_error": "Rand error",
    "pixel_error": "pixel error",
    "warping_error": "warping error",
}
TITLES = {
    "nuclei": "Nuclei: a selection of the 2018 Data Science Bowl",
    "isbi2012": "Membranes: ISBI 2012",
}
ABOUT = {
    "nuclei": "54 images split by image within each kind: fluorescence of several sizes, stained tissue (as gray"
    " values) and one bright-field image, which trains. AP at an IoU threshold is pooled over the test images."
    " Probabilities of all methods are decoded alike, with the parameters that are best on the validation images.",
    "isbi2012": "The 30 training slices of the challenge, as the labels of its test slices were never published:"
    " slices 0 to 23 train and validate, 24 to 29 are scored. The challenge takes the best threshold of the slices that"
    " it scores; *fixed* is the score at the threshold that is best on the validation slices, as are the parameters by"
    " which cells are decoded for their AP.",
}
Run = dict[str, Any]


def main() -> None:
    """Write docs/results.md and its figures."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    shown = [with_averages(results) for results in found if results.get("size", "smoke") != "smoke"]  # not the demo's
    parts = [part for results in shown for part in section(results)]
    written = "Written by `python -m benchmarks.accuracy.results` from `benchmarks/results`."
    (DOCS / "results.md").write_text("\n".join(["# Results on real data", "", written, "", *parts]))


def with_averages(results: dict[str, Any]) -> dict[str, Any]:
    """The results with a variant more for each whose predictions were also averaged over turned images."""
    variants, runs = {}, list(results["runs"])
    for name, about in results["variants"].items():
        variants[name] = about
        averaged = [run for run in runs_of(results["runs"], name) if "averaged" in run["scores"]]
        if averaged:
            title = f"{name}, averaged"
            variants[title] = {"about": "its predictions of 8 turned images", "group": f"{about['group']}-averaged"}
            runs += [run | {"variant": title, "scores": run["scores"]["averaged"]} for run in averaged]
    return results | {"variants": variants, "runs": runs}


def section(results: dict[str, Any]) -> list[str]:
    """The part of one data set and size."""
    name, runs = results["data"], results["runs"]
    full = results["size"] == "full"
    seconds = sorted({run["budget_seconds"] for run in runs})
    time = f"{seconds[0]:g} s of {'a GPU' if full else 'CPU time of one thread'}"
    seeds = sorted({run["seed"] for run in runs})
    images = runs[0]["images"]
    lines = [
        f"## {TITLES[name]}{', on a GPU' if full else ''}",
        "",
        ABOUT[name],
        "",
        f"{images['train']} images train, {images['val']} validate, {images['test']} are scored. Every method is"
        f" trained for {time}; seeds {', '.join(map(str, seeds))}; mean, and in brackets every seed (none where"
        " there was one). Peers stop by the clock. `fit` needs its number of steps beforehand, for its schedule: it is"
        " set from the pace of a short training, so that its time varies."
        f" {described(results)}.",
        "",
        f"Rerun: `make {name} DATA=FOLDER`, `make peers DATA=FOLDER`, `make ablations DATA=FOLDER`.",
        "",
    ]
    tables = challenge_tables if name == "isbi2012" else nuclei_tables
    for title, group, more in (
        ("This project and its peers", "peers", ("ours-averaged", "peers-averaged")),
        ("One change at a time", "ablations", ()),
    ):
        groups = ("ours", group, *more)
        chosen = [v for v, about in results["variants"].items() if about["group"] in groups and runs_of(runs, v)]
        if len(chosen) > 1 or group == "peers":
            lines += [f"### {title}", "", *tables(results, chosen), ""]
            if group == "ablations":
                lines += [*verdicts(results, chosen), ""]
            figure = f"results-{name}{'-full' if full else ''}-{group}.svg"
            (DOCS / figure).write_text(figure_of(results, chosen))
            lines += [f"![{figure_title(name)} of each seed, and the mean, for every row of the table]({figure})", ""]
    return lines


def runs_of(runs: Sequence[Run], variant: str) -> list[Run]:
    """The trainings of a variant, all folds and seeds."""
    return [run for run in runs if run["variant"] == variant]


def instances(run: Run) -> dict[str, Any]:
    """Scores of the instances of a run: decoded by the chosen parameters, or predicted as such."""
    found: dict[str, Any] = run["scores"].get("instances") or run["scores"]["chosen"]
    return found


def scores(run: Run) -> dict[str, Any]:
    """All scores of a run."""
    found: dict[str, Any] = run["scores"]
    return found


def length(runs: Sequence[Run]) -> tuple[str, str]:
    """Mean number of steps, and of seconds, with the least and the greatest where they differ."""
    seconds = [float(run["seconds"]) for run in runs]
    least, most = round(min(seconds)), round(max(seconds))
    spread = f" ({least} to {most})" if least < most else ""
    return f"{np.mean([run['steps'] for run in runs]):.0f}", f"{np.mean(seconds):.0f}{spread}"


def cell(runs: Sequence[Run], *path: str, of: Callable[[Run], Any] = instances, digits: int = 3) -> str:
    """Mean over the runs, and the value of each: what stands at a path in the scores that `of` takes from a run."""
    values = [float(reduce(getitem, path, of(run))) for run in runs]
    each = f" ({', '.join(f'{v:.{digits}f}' for v in values)})" if len(values) > 1 else ""
    return f"**{np.mean(values):.{digits}f}**{each}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]


def nuclei_tables(results: dict[str, Any], chosen: Sequence[str]) -> list[str]:
    """AP at each IoU threshold; AP at 0.5 by kind of image, and by decoding."""
    runs = {name: runs_of(results["runs"], name) for name in chosen}
    first = instances(results["runs"][0])
    cells, kinds = first["cells"], first["kinds"]
    rows = [
        [label(results, name), *length(of), *(cell(of, "ap", t) for t in IOUS), cell(of, "iou")]
        for name, of in runs.items()
    ]
    by_kind = [[name, *(cell(of, "kinds", kind, "ap", "0.50") for kind in kinds)] for name, of in runs.items()]
    by_decoding = [
        [name, *(cell(of, decoding, "ap", "0.50", of=scores) for decoding in DECODINGS)]
        for name, of in runs.items()
        if "chosen" in scores(of[0])
    ]
    return [
        f"The test images hold {cells} cells: 10 of them are {10 / cells:.3f} of AP.",
        "",
        *table(["", *LENGTH, *(f"AP@{float(t):.1f}" for t in IOUS), "IoU of the foreground"], rows),
        "",
        "By kind of image, AP@0.5 (cells):",
        "",
        *table(["", *(f"{kind} ({found['cells']})" for kind, found in kinds.items())], by_kind),
        "",
        "By decoding, AP@0.5: with parameters chosen on the validation images; watershed with its defaults; connected"
        " components above 0.5.",
        "",
        *table(["", *DECODINGS], by_decoding),
    ]


def challenge_tables(results: dict[str, Any], chosen: Sequence[str]) -> list[str]:
    """The challenge's metrics at the best and at the fixed threshold."""
    lines: list[str] = []
    for kind, title in (("best", "At the best threshold of the scored slices:"), ("fixed", "At the fixed threshold:")):
        rows = []
        for name in chosen:
            of = runs_of(results["runs"], name)
            found = (
                cell(of, "challenge", metric, kind, of=scores, digits=6 if metric == "warping_error" else 4)
                for metric in METRICS
            )
            cells = [cell(of, "ap", "0.50")] if kind == "fixed" else []
            rows.append([label(results, name), *length(of), *found, *cells])
        if kind == "best":
            floor = (np.mean([of_fold[metric] for of_fold in results["floor"].values()]) for metric in METRICS)
            rows.append(["*true labels of the slice before*", "", "", *(f"{value:.4f}" for value in floor)])
        more = ["AP@0.5 of the cells"] if kind == "fixed" else []
        lines += [title, "", *table(["", *LENGTH, *METRICS.values(), *more], rows), ""]
    return lines


def verdicts(results: dict[str, Any], chosen: Sequence[str]) -> list[str]:
    """What each change of the first variant does to the main score: over pairs of runs of one seed."""
    title, reference, *changes = figure_title(results["data"]), *chosen
    ours = {(run["fold"], run["seed"]): main_score(results, run) for run in runs_of(results["runs"], reference)}
    rows = []
    for name in changes:
        gains = [main_score(results, run) - ours[run["fold"], run["seed"]] for run in runs_of(results["runs"], name)]
        worse = sum(gain < 0 for gain in gains)
        rows.append([name, f"{np.mean(gains):+.3f}", f"{worse} of {len(gains)}"])
    spread = max(ours.values()) - min(ours.values())
    return [
        f"What each change does to {title}. Between its seeds the recipe itself varies by {spread:.3f}, so a smaller"
        " difference says little, the more so where the seeds disagree.",
        "",
        *table(["change", f"{title}, mean difference", "worse in"], rows),
    ]


def label(results: dict[str, Any], name: str) -> str:
    """A variant with what it is."""
    return f"{name}: {results['variants'][name]['about']}"


def figure_title(name: str) -> str:
    """What a figure shows."""
    return "V_rand" if name == "isbi2012" else "AP@0.5"


def main_score(results: dict[str, Any], run: Run) -> float:
    """The score of the figure."""
    if results["data"] == "isbi2012":
        return float(run["scores"]["challenge"]["v_rand"]["best"])
    return float(instances(run)["ap"]["0.50"])


def figure_of(results: dict[str, Any], chosen: Sequence[str]) -> str:
    """The main score of some variants, each seed and the mean."""

    rows = [Variant(name, [main_score(results, run) for run in runs_of(results["runs"], name)]) for name in chosen]
    title = figure_title(results["data"])
    description = f"{title} of {len(rows)} variants, a dot for each seed"
    return svg_file(dot_chart(rows, description, title, reference=chosen[0]))


if __name__ == "__main__":
    main()
