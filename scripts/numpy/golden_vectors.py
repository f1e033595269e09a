#!/usr/bin/env python3
"""Test vectors of the golden model, computed with numpy.

  golden_vectors.py            writes golden/tests/vectors/CASE/{model.ir,model.safetensors,vectors.safetensors}
  golden_vectors.py --check    recomputes every value of the committed vectors and compares

`vectors.safetensors` holds every value of the function under its name, with a leading batch
dimension, in the narrowest of i8, i16, i32 and i64 that holds its type; the returned one again as
`result`. Of a module with caches the batch is successive steps, and the tensors of each cache are those with
which a cache of the same contents would begin.
"""

import argparse
import shutil
import sys
from itertools import chain
from pathlib import Path

import numpy as np

import attention_cases
import vector_cases
from pimc_np import program, tensors

VECTORS = Path(__file__).resolve().parents[2] / "golden" / "tests" / "vectors"


def container(bits):
    """The narrowest integer dtype that holds iN."""
    return next(f"<i{size}" for size in (1, 2, 4, 8) if bits <= 8 * size)


def generate():
    names = set()
    # Cases that are no longer made must not stay behind.
    shutil.rmtree(VECTORS, ignore_errors=True)
    for case in chain(vector_cases.all_cases(), attention_cases.all_cases()):
        assert case.name not in names, f"two cases are named {case.name}"
        names.add(case.name)
        folder = VECTORS / case.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.ir").write_text(case.text())
        if case.tensors:
            tensors.write(folder / "model.safetensors", case.tensors)
        model = program.Program(folder / "model.ir")
        values = model.run(case.inputs)
        out = dict(case.inputs)
        for name, _, _, bits, _ in model.ops:
            out[name] = values[name].astype(container(int(bits)))
        # What the caches hold after the last step.
        out.update({name: held for name, held in values.items() if "." in name})
        out["result"] = out[model.result]
        tensors.write(folder / "vectors.safetensors", out)
    print(f"{len(names)} cases written to {VECTORS}")


def check():
    checked, wrong = 0, []
    for path in sorted(VECTORS.glob("*/model.ir")):
        stored = tensors.read(path.with_name("vectors.safetensors"))
        model = program.Program(path)
        values = model.run({name: stored[name] for name in model.inputs})
        values["result"] = values[model.result]
        if set(values) != set(stored):
            wrong.append(f"{path.parent.name}: the values are {sorted(values)}, stored are {sorted(stored)}")
            continue
        for name, value in values.items():
            checked += 1
            if not np.array_equal(value, stored[name]):
                wrong.append(f"{path.parent.name}: %{name} differs")
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong or not checked:
        print(f"{len(wrong)} of {checked} values differ in {VECTORS}", file=sys.stderr)
        return 1
    print(f"{checked} values recomputed with numpy, all equal")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    return check() if parser.parse_args().check else generate()


if __name__ == "__main__":
    sys.exit(main())
