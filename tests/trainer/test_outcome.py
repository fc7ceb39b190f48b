"""Warnings of a training that completed without an error."""

from unettrain.outcome import CHECKLIST, as_text, training_warnings


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
