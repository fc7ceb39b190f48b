#!/usr/bin/env bash
# scikit-image: adapted_rand_error returns recall as precision and precision as recall.
#
# Versions   scikit-image 0.26.0, numpy 2.4.6.
# Expected   The docstring: (are, prec, rec), where prec is the number of pairs of pixels that are together in both images
#            divided by the number in the test image, and rec divided by the number in the true image. A test image that
#            merges everything then has recall 1 and low precision, one that splits every object precision 1.
# Happens    The two come back in the other order, in both directions. The error itself, which is symmetric at the
#            default alpha, is right, so nothing looks wrong.
# Output     two objects merged into one:  precision 1.000 (by the docstring 0.333), recall 0.333 (1.000)
#            one object split into two:    precision 0.333 (by the docstring 1.000), recall 1.000 (0.333)
# Hurts      Whoever reads from the two whether a segmentation of neurites or cells merges or splits too much, as papers
#            on EM report, and moves a threshold or an agglomeration in the wrong direction; and whoever puts them in
#            a table beside the precision and recall of another package.
# Instead    error, recall, precision = adapted_rand_error(...), with a check such as the one below in your tests.
# Known as   scikit-image#6485, open since 2022.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'scikit-image==0.26.0' 'numpy==2.4.6'

"$work/venv/bin/python" - <<'PY'
import warnings
from itertools import combinations

import numpy as np
from skimage.metrics import adapted_rand_error

warnings.simplefilter("error")


def by_docstring(true, test):
    """Precision and recall, counting pairs of pixels one by one."""
    pairs = list(combinations(range(true.size), 2))
    together = [(true.flat[a] == true.flat[b], test.flat[a] == test.flat[b]) for a, b in pairs]
    both = sum(t and p for t, p in together)
    return both / sum(p for _, p in together), both / sum(t for t, _ in together)


two = np.array([[1, 1, 2, 2]])
one = np.array([[1, 1, 1, 1]])
for name, true, test in [("two objects merged into one: ", two, one), ("one object split into two:   ", one, two)]:
    _, precision, recall = adapted_rand_error(true, test)
    stated = by_docstring(true, test)
    print(
        f"{name} precision {precision:.3f} (by the docstring {stated[0]:.3f}),"
        f" recall {recall:.3f} ({stated[1]:.3f})"
    )
    assert np.allclose((recall, precision), stated), "changed"
    assert not np.allclose((precision, recall), stated), "changed"
print("reproduced")
PY
