#!/usr/bin/env python3
"""Trains the networks of this example; needs numpy only.

  train.py float       the float network, and a first mask of its third layer: digits_float.safetensors
  train.py head        the third layer's mask again, on the quantized first two layers of digits.ir
  train.py supermask   the network of supermasks only: supermask_masks.safetensors

README.md gives the order, with the calls of `pimc quantize` between.
"""

import argparse
import os

# One thread: the products are small, and sums then come in one order.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import learn  # noqa: E402
from learn import HERE  # noqa: E402
from pimc_np import generator, program, tensors  # noqa: E402

SIZES = [64, 256, 256, 10]
LAYERS = ["fc1", "fc2", "fc3"]
# Pixels are 0..=16.
PIXEL_SCALE = np.float32(1 / 16)
SIGN_SEED = 0x5EED
HEAD_DENSITY = 0.3
SUPERMASK_DENSITY = 0.2
FLOAT_FILE = HERE / "digits_float.safetensors"


def training_data():
    data = tensors.read(HERE / "train.safetensors")
    return data["x"].astype(np.int64), data["labels"].astype(np.int64).ravel()


def planes(mask):
    """A mask as packed planes of one coat."""
    return tensors.pack_bits(mask)[None]


def train_head(features, labels):
    """Mask and sigma of the third layer on its inputs, which are brought to unit spread."""
    features = (features / features.std()).astype(np.float32)
    masks, sigmas = learn.train_masks(
        features, labels, SIZES[2:], HEAD_DENSITY, SIGN_SEED, [2], noise=False, epochs=60, rate=1e-2)
    signs = generator.signs(SIGN_SEED, 2, *masks[0].shape)
    correct = (features @ (signs * masks[0]).T).argmax(1) == labels
    print(f"third layer as a supermask: {100 * correct.mean():.2f} % of the training images")
    return {"fc3.mask": planes(masks[0]), "fc3.sigma": sigmas[0][None]}


def float_network():
    x, labels = training_data()
    scaled = x.astype(np.float32) * PIXEL_SCALE
    weights, biases = learn.train_float(scaled, labels, SIZES)
    values = learn.forward(scaled, weights, biases)
    print(f"float: {100 * (values[-1].argmax(1) == labels).mean():.2f} % of the training images")
    content = {f"{name}.weight": w for name, w in zip(LAYERS, weights)}
    # The file's network takes pixels as they are; the scale is a power of two, so this is exact.
    content["fc1.weight"] = weights[0] * PIXEL_SCALE
    content |= {f"{name}.bias": b for name, b in zip(LAYERS, biases)}
    tensors.write(FLOAT_FILE, content | train_head(values[2], labels))


def head():
    x, labels = training_data()
    model = program.Program(HERE / "digits.ir")
    features = model.run({"x": x})["fc2_q"]
    tensors.write(FLOAT_FILE, tensors.read(FLOAT_FILE) | train_head(features, labels))


def supermask():
    x, labels = training_data()
    scaled = x.astype(np.float32) * PIXEL_SCALE
    masks, sigmas = learn.train_masks(
        scaled, labels, SIZES, SUPERMASK_DENSITY, SIGN_SEED, [0, 1, 2], noise=True)
    # As above, the first layer takes pixels as they are.
    sigmas[0] = sigmas[0] * PIXEL_SCALE
    content = {}
    for name, mask, sigma in zip(LAYERS, masks, sigmas):
        content |= {f"{name}.mask": planes(mask), f"{name}.sigma": sigma[None]}
    tensors.write(HERE / "supermask_masks.safetensors", content)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["float", "head", "supermask"])
    {"float": float_network, "head": head, "supermask": supermask}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
