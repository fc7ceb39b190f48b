"""State of an array: missing, damaged, unfinished, stale or finished, from the attributes of it and of its inputs."""

from collections.abc import Callable

from unetprep.format.metadata import DamagedDocument, Json


def array_state(record_at: Callable[[str], Json], path: str, _dependents: tuple[str, ...] = ()) -> str:
    """One of missing, damaged, unfinished, stale and finished.

    `record_at` gives the attributes of ours of an array of the store by its path, {} where it does not exist, and
    raises DamagedDocument for an invalid document. An array is stale if one of its inputs is not finished, or no longer
    has the fingerprint that is recorded for it.
    """
    try:
        record = record_at(path)
    except DamagedDocument:
        return "damaged"
    if not record:
        return "missing"
    if not record.get("complete"):
        return "unfinished"
    inputs = {source: then for source, then in record.get("inputs", {}).items() if "/" in source}
    is_fresh = path not in _dependents and all(  # an array that claims to be computed from itself is stale
        array_state(record_at, source, (*_dependents, path)) == "finished"
        and record_at(source).get("fingerprint") == then
        for source, then in inputs.items()
    )
    return "finished" if is_fresh else "stale"
