"""Command `evaluate`."""

from typing import Any

import click

from unetcli.options import Examples, chosen, common, from_fields, result
from unetprep.parameter import option_name
from unettrain.evaluation.params import EvaluateParams


@click.command(
    cls=Examples,
    short_help="Score a prediction.",
    examples="unettrain evaluate cells.tif labels.tif\n"
    "unettrain evaluate cells.tif ds.zarr/images/img-test --json\n"
    "unettrain evaluate cells.png labels.png --prediction instances",
)
@click.argument("prediction_file", metavar="PREDICTION")
@click.argument("labels")
@from_fields(EvaluateParams, option_name)
@common
def evaluate(prediction_file: str, labels: str, as_json: bool, quiet: bool, verbose: bool, **values: Any) -> None:
    """Score PREDICTION against LABELS: IoU of the foreground, and AP of the cells.

    PREDICTION holds instance labels, probabilities or a mask; the output says which. Objects of probabilities and masks
    are connected components. LABELS number the cells; an image of a store, STORE/images/NAME, means the labels of this
    image.
    """
    from unettrain import evaluate_files

    done = evaluate_files(prediction_file, labels, chosen(EvaluateParams, values))
    result("evaluate", done.as_dict(), done.as_text(), as_json)
