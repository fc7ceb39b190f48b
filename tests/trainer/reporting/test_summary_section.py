"""Section 1 of the report."""

from dataclasses import replace

import numpy as np

from tests.trainer.reporting.helpers import NOTHING_SHOWN, Page, held_out, region_scores
from unettrain.decoding.params import DecodingParams
from unettrain.metrics import Matching, Scores
from unettrain.reporting.summary_section import scores_table, title_of, training_seconds, verdict


def test_the_time_of_a_run_that_was_interrupted_adds_up() -> None:
    assert training_seconds([]) == 0
    assert training_seconds([{"seconds": 1.0}, {"seconds": 4.0}, {"seconds": 2.0}, {"seconds": 3.0}]) == 7


def test_the_table_says_how_otsu_is_decoded_and_what_the_scores_rest_on() -> None:
    labels = np.kron(np.arange(6, dtype=np.int32).reshape(2, 3), np.ones((4, 4), np.int32))
    found = held_out(NOTHING_SHOWN, [region_scores(labels, labels, name) for name in ("a", "b")])
    words = " ".join(Page(scores_table(found)).words.split())
    assert "Trained network Same network, untrained Otsu's threshold + the same watershed" in words
    assert words.endswith("true cells 10 10 10 images 2 2 2 seed 3 3 none")
    components = replace(found, decoding=DecodingParams(instances="components"))
    assert title_of("otsu", components) == "Otsu's threshold + the same connected components"
    volume = replace(found.regions[0], region=replace(found.regions[0].region, dims=3))
    assert title_of("otsu", replace(found, regions=(volume,))) == "Otsu's threshold + the same connected components"


def test_a_difference_that_may_be_chance_is_called_so() -> None:
    def of(tp: int, fn: int) -> Scores:
        return Scores(cells=(Matching(tp, 0, fn),) * 9)

    assert "may be chance" in verdict({"trained": of(30, 6), "otsu": of(26, 10)})
    assert "may be chance" not in verdict({"trained": of(300, 60), "otsu": of(200, 160)})
    assert "above Otsu's threshold in no score" in verdict({"trained": of(1, 9), "otsu": of(1, 9)})
