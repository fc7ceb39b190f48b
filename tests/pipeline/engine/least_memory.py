"""A process of its own that runs a command with the least memory that it allows.

python -m tests.pipeline.engine.least_memory COMMAND ...

It prints, as JSON, that least and the peak of this process, in bytes.
"""

import io
import json
import sys
from contextlib import redirect_stderr, suppress

from tests.pipeline.engine.measuring import status
from unetcli.prep import main as prep
from unetprep.params import parse_bytes


def main(words: list[str]) -> None:
    """Be refused, with the least that would do, and run with it."""
    refusal = io.StringIO()
    with redirect_stderr(refusal), suppress(SystemExit):
        prep.main([*words, "--memory", "8MiB"], standalone_mode=False)
    least = refusal.getvalue().partition("--memory ")[2].partition(" or more")[0]
    prep.main([*words, "--memory", least, "--quiet", "--json"], standalone_mode=False)
    print(json.dumps([parse_bytes(least), status("VmHWM")]))


if __name__ == "__main__":
    main(sys.argv[1:])
