"""Command `evaluate`."""

from typing import Any

import click

from unetcli.options import Examples, chosen, common, from_fields, result
from unetcli.progress import progress
from unetprep.parameter import option_name
from unettrain.evaluation.params import EvaluateParams


@click.command(
    cls=Examples,
    short_help="Score predictions.",
    examples="unettrain evaluate cells.tif labels.tif\n"
    "unettrain evaluate cells.tif ds.zarr/images/img-test --json\n"
    "unettrain evaluate predicted ds.zarr --split test --metrics ap,seg --csv scores.csv\n"
    "unettrain evaluate cells.png labels.png --prediction instances",
)
@click.argument("prediction_file", metavar="PREDICTION")
@click.argument("labels")
@from_fields(EvaluateParams, option_name)
@click.option(
    "--csv",
    metavar="FILE",
    help="Also write all scores to a table with the columns image, metric, part, threshold and value.",
)
@common
def evaluate(
    prediction_file: str, labels: str, csv: str | None, as_json: bool, quiet: bool, verbose: bool, **values: Any
) -> None:
    """Score PREDICTION against LABELS: IoU of the foreground and AP of the cells, or --metrics.

    PREDICTION holds instance labels, probabilities or a mask; the output says which. Objects of probabilities and masks
    are connected components. LABELS number the cells; an image of a store, STORE/images/NAME, means the labels of this
    image. Both may be folders, patterns or stores, whose images are paired by name and scored each and overall.
    """
    params: EvaluateParams = chosen(EvaluateParams, values)
    from unettrain import evaluate_files, evaluate_metrics
    from unettrain.evaluation.many import check_csv, is_one_image, write_csv
    from unettrain.evaluation.text import as_text

    output = check_csv(csv, [prediction_file, labels]) if csv else None
    if not params.metrics and output is None and is_one_image(prediction_file, labels, params):
        one = evaluate_files(prediction_file, labels, params)
        result("evaluate", one.as_dict(), one.as_text(), as_json)
        return
    with progress("evaluate", quiet) as report:
        done = evaluate_metrics(prediction_file, labels, params, on_image=report)
    if output:
        write_csv(done, output)
    result("evaluate", done.as_dict(), as_text(done), as_json)
