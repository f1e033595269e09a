#!/usr/bin/env python3
"""Writes train.safetensors and test.safetensors from the digits that scikit-learn ships.

Needed only to make the two files anew; this is the one script here that needs scikit-learn.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "scripts" / "numpy"))
from pimc_np import tensors  # noqa: E402

TRAIN = 1297
SPLIT_SEED = 0
METADATA = {
    "source": "Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, "
    "test part, as shipped with scikit-learn",
    "authors": "E. Alpaydin, C. Kaynak (1998), https://doi.org/10.24432/C50P49",
    "license": "CC BY 4.0",
}


def main():
    digits = load_digits()
    images = digits.images.reshape(-1, 64).astype(np.int8)
    labels = digits.target.astype(np.int8)[:, None]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    for name, part in (("train", order[:TRAIN]), ("test", order[TRAIN:])):
        content = {"x": images[part], "labels": labels[part]}
        tensors.write(HERE / f"{name}.safetensors", content, METADATA)


if __name__ == "__main__":
    main()
