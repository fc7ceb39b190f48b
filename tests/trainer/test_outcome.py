"""Warnings of a training that completed without an error."""

from dataclasses import replace

from unettrain.config import FitConfig
from unettrain.notices import settings_notices
from unettrain.outcome import (
    CHECKLIST,
    as_text,
    overflow_warnings,
    training_warnings,
    unscored_warnings,
)


def test_a_network_that_dies_after_its_best_is_told_from_one_that_never_lived() -> None:
    assert training_warnings(0.8, 0.7, False, 9) == ()
    assert training_warnings(None, None, None, 9) == ()
    assert "best.pt is 0.000" in training_warnings(0.0, 0.0, False, 9)[0]
    assert (
        "after step 9 is 0.000: the network no longer finds a cell; best.pt is from before (IoU 0.800)"
        in (training_warnings(0.8, 0.0, False, 9)[0])
    )


def test_the_same_output_everywhere_is_named_before_a_lost_iou() -> None:
    found = training_warnings(0.0, 0.0, True, 7)
    assert "the same output for every pixel after step 7" in found[0]
    assert len(found) == 2
    assert as_text(found) == f"warning: {found[0]}\nwarning: {found[1]}\n  to do:   {CHECKLIST}"


def test_settings_without_their_effect_are_named() -> None:
    usual = FitConfig()
    assert settings_notices(usual, 3) == ()
    assert settings_notices(replace(usual, best_by="last"), 0) == ()
    (said,) = settings_notices(replace(usual, patience=4), 0)
    assert "not the best by ap, and patience 4 has no effect" in said
    parts = FitConfig(batch_size=4, accumulate=2, normalization="batch")
    (said,) = settings_notices(parts, 3)
    assert "over each of the 2 parts of a batch (accumulate), 2 tiles" in said
    assert settings_notices(replace(parts, normalization="instance"), 3) == ()
    (said,) = settings_notices(FitConfig(normalization="batch"), 3)
    assert "batch normalisation with one tile a batch" in said
    assert settings_notices(FitConfig(batch_size=8, normalization="batch"), 3) == ()


def test_a_training_whose_updates_overflowed_is_warned_of() -> None:
    assert overflow_warnings(0, 0) == overflow_warnings(3, 6) == ()
    assert overflow_warnings(6, 6)[0].startswith("6 of 6 updates were skipped")


def test_a_split_without_cells_is_warned_of() -> None:
    assert unscored_warnings(None, None) == unscored_warnings(0.5, 0.0) == ()
    assert "the validation split holds no cell" in unscored_warnings(0.5, None)[0]
