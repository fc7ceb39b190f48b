#!/usr/bin/env bash
# MONAI: when an item cannot be read, ThreadDataLoader ends the epoch as if the data were finished.
#
# Versions   monai 1.6.1, torch 2.13.0, numpy 2.4.6 (also with torch 2.15.0).
# Expected   The loop raises what the dataset raised, as torch's and MONAI's own DataLoader do.
# Happens    The exception ends the background thread that fills the buffer. The consuming loop sees an empty buffer and
#            a dead thread, takes that for the end, and finishes normally. Only the interpreter's traceback of the
#            thread appears on standard error, between the progress lines; the training goes on to its next epoch, and
#            the program exits with 0.
# Output     DataLoader: OSError: short read
#            ThreadDataLoader: 6 of 10 batches, exception: None
#            ThreadDataLoader, next epoch: 6 of 10 batches, exception: None
# Hurts      Training and validation with one unreadable image (a network file system that hiccups, a truncated file):
#            every epoch covers only what lies before it, learning-rate schedules see fewer steps, and a validation
#            score is the mean over part of the set and is compared with complete ones.
# Instead    Count the batches against len(loader) after each epoch, set threading.excepthook to end the process, or use
#            DataLoader with worker processes.
# Known as   Not reported as far as we could find; neither ThreadDataLoader's nor ThreadBuffer's documentation says it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'monai==1.6.1' 'torch==2.13.0' 'numpy==2.4.6'

"$work/venv/bin/python" - <<'PY'
import threading
import warnings

import torch
from monai.data import DataLoader, ThreadDataLoader

warnings.simplefilter("ignore")  # Deprecations inside the packages; none is about this.
in_threads = []
threading.excepthook = lambda args: in_threads.append(args.exc_value)


class Images(torch.utils.data.Dataset):
    """Ten images, of which the seventh cannot be read."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index == 6:
            raise OSError("short read")
        return torch.full((1, 8, 8), float(index))


def epoch(loader):
    """What one pass gives: the batches seen, and the exception that the loop raised, if any."""
    seen = 0
    try:
        for _ in loader:
            seen += 1
    except OSError as error:
        return seen, error
    return seen, None


seen, error = epoch(DataLoader(Images(), batch_size=1, num_workers=0))
print(f"DataLoader: {type(error).__name__}: {error}")
assert seen == 6 and isinstance(error, OSError)

loader = ThreadDataLoader(Images(), batch_size=1, num_workers=0)
assert len(loader) == 10
first, second = epoch(loader), epoch(loader)
print(f"ThreadDataLoader: {first[0]} of {len(loader)} batches, exception: {first[1]}")
print(f"ThreadDataLoader, next epoch: {second[0]} of {len(loader)} batches, exception: {second[1]}")
assert first == second == (6, None), f"changed: {first}, {second}"
assert [str(error) for error in in_threads] == ["short read"] * 2, "only the thread's hook got to know the reason"
print("reproduced")
PY
