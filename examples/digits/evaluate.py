#!/usr/bin/env python3
"""Accuracy of each network on the 500 test images, in numpy, from the committed files.

The integer networks are evaluated exactly as their modules say, by `scripts/numpy/pimc_np`, which
shares no code with pimc. Their results must be those of `expected.safetensors`, with which the
tests compare the golden model; `--write` stores them after retraining. Results that pimc computed
(NAME=FILE, NAME one of digits, supermask, FILE from `pimc cosim --outputs`) must be the same.
Ends with status 1 when a result differs or an accuracy is below its bound.
"""

import argparse
import sys

import numpy as np

import learn
from learn import HERE
from pimc_np import program, tensors

EXPECTED = HERE / "expected.safetensors"
# Least accuracy, in percent; the mixed network is also held within two points of the float one.
BOUNDS = {"float": 97.5, "digits": 97.0, "supermask": 97.0}
WITHIN_FLOAT = 2.0
DENSITY = (0.10, 0.50)


def float_logits(x):
    net = tensors.read(HERE / "digits_float.safetensors")
    parts = ([net[f"fc{i}.{kind}"] for i in (1, 2, 3)] for kind in ("weight", "bias"))
    return learn.forward(x.astype(np.float32), *parts)[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store the integer networks' results")
    parser.add_argument("computed", nargs="*", metavar="NAME=FILE", help="results that pimc computed")
    args = parser.parse_args()
    data = tensors.read(HERE / "test.safetensors")
    models = {name: program.Program(HERE / f"{name}.ir") for name in ("digits", "supermask")}
    results = {name: model.run(data)[model.result] for name, model in models.items()}
    if args.write:
        stored = {name: value.astype(np.int32) for name, value in results.items()}
        tensors.write(EXPECTED, stored)
    logits = {"float": float_logits(data["x"])} | results
    problems, accuracy = [], {}
    for name, values in logits.items():
        accuracy[name] = 100 * (values.argmax(1) == data["labels"].ravel()).mean()
        print(f"{name:10} {accuracy[name]:5.1f} % of {len(values)} test images")
        if accuracy[name] < BOUNDS[name]:
            problems.append(f"{name}: below {BOUNDS[name]} %")
    if accuracy["digits"] < accuracy["float"] - WITHIN_FLOAT:
        problems.append(f"digits: more than {WITHIN_FLOAT} points below float")
    for name, w in models["supermask"].weights.items():
        density = (w != 0).mean()
        print(f"supermask @{name}: density {density:.3f}")
        if not DENSITY[0] <= density <= DENSITY[1]:
            problems.append(f"supermask @{name}: density {density:.3f} is not within {DENSITY}")
    expected = tensors.read(EXPECTED)
    problems += [
        f"{name}: results differ from {EXPECTED.name}"
        for name in results
        if not np.array_equal(results[name], expected[name])
    ]
    for name, path in (pair.split("=", 1) for pair in args.computed):
        result = tensors.read(path)["result"]
        right = int((result.argmax(1) == data["labels"].ravel()[: len(result)]).sum())
        equal = np.array_equal(result, results[name][: len(result)])
        note = "the same as numpy, bit for bit" if equal else "NOT as numpy computes it"
        print(f"pimc {name:10} {right} of {len(result)} test images right: {100 * right / len(result):.1f} %; {note}")
        if not equal:
            problems.append(f"{name}: {path} differs from what numpy computes")
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
