from unetprep.suggestions import did_you_mean


def test_the_nearest_known_word_is_suggested() -> None:
    assert did_you_mean("sgima", ["w0", "sigma", "stride"]) == "did you mean 'sigma'?"


def test_nothing_is_suggested_that_is_not_near() -> None:
    assert did_you_mean("verify", ["w0", "sigma"]) == ""
    assert did_you_mean("verify", []) == ""
