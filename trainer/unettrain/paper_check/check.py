"""All lines of the comparison in one call."""

from unettrain.paper_check.data_lines import data_lines
from unettrain.paper_check.layer_lines import layer_lines
from unettrain.paper_check.line import PaperCheck
from unettrain.paper_check.prediction_lines import prediction_lines
from unettrain.paper_check.shape_lines import shape_lines
from unettrain.paper_check.training_lines import training_lines


def check_against_paper(sigma_px: float = 10.0, nodes: tuple[int, int] = (3, 3)) -> PaperCheck:
    """Compare this code with the paper (Ronneberger et al. 2015) and the authors' release, by running it.

    `sigma_px` and `nodes` are those of the deformation grids; the command `unettrain paper-check` gives the defaults of
    `unetprep deform`. Every line states its source, what that says and what was found; lines with status DIFFERS
    differ on purpose, and say why. Takes seconds: shapes are those of the full network, values those of narrow ones.
    """
    groups = (shape_lines(), layer_lines(), training_lines(), data_lines(sigma_px, nodes), prediction_lines())
    return PaperCheck(tuple(line for group in groups for line in group))
