"""Journal of an update of labels."""

import json

from hypothesis import given
from hypothesis import strategies as st

from unetprep.format.boxes import Box
from unetprep.relabeling.journal import Journal, box_as_text, box_from_text

SIDES = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(lambda pair: slice(*pair))


@given(st.lists(SIDES, min_size=1, max_size=4).map(tuple))
def test_a_box_is_read_back_from_its_text(box: Box) -> None:
    assert box_from_text(box_as_text(box)) == box


def test_a_box_is_written_as_ranges() -> None:
    assert box_as_text((slice(0, 1), slice(5, 9), slice(0, 40))) == "0:1 5:9 0:40"


def test_a_journal_survives_json() -> None:
    box = (slice(0, 1), slice(5, 9), slice(0, 40))
    journal = Journal({"a": "1"}, {"a": [box], "b": []}, [0.5, 2.0], balanced=True, everything=True, voided=True)
    assert Journal.of_record(json.loads(json.dumps(journal.as_record()))) == journal
    begun = Journal({}, {}, None, balanced=False)
    assert (begun.everything, begun.voided) == (False, False)
    assert Journal.of_record(begun.as_record()) == begun


def test_records_of_releases_without_the_later_fields_are_read() -> None:
    record = {"fingerprints": {}, "changed": {"a": ["0:1"]}, "class_weights": None, "balanced": False}
    assert Journal.of_record(record).changed == {"a": [(slice(0, 1),)]}
