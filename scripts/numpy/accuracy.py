#!/usr/bin/env python3
"""Accuracy of a classifier's results, level by level.

  accuracy.py LABELS.safetensors NAME=RESULTS.safetensors ...

LABELS holds `labels` [n, 1], each RESULTS holds `result` [n, classes] of one run. Ends with status 1
when the results are not equal bit for bit.
"""

import sys

import numpy as np

from pimc_np import tensors


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    labels = tensors.read(sys.argv[1])["labels"].ravel()
    first, status = None, 0
    for pair in sys.argv[2:]:
        name, path = pair.split("=", 1)
        result = tensors.read(path)["result"]
        first = result if first is None else first
        right = int((result.argmax(1) == labels[: len(result)]).sum())
        equal = np.array_equal(result, first)
        status |= not equal
        note = "" if equal else "  DIFFERS"
        print(f"  {name:10} {right:4} of {len(result)} right, {100 * right / len(result):5.1f} %{note}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
