#!/usr/bin/env python3
"""What compressed keys and values do to the embeddings of sentences, end to end, by format.

    sentences.py WHEELS OUT           the table, over the first sentences of the test's pages
    sentences.py WHEELS OUT --all     the same over all of their sentences

WHEELS is as for extract.py. OUT has its test.safetensors, and codebooks/, which
`cargo bench -p pimc-quantize --bench attention_error -- OUT --codebooks` wrote.

A sentence is an input of its own, [CLS] and [SEP] around it. In every layer all keys and values of
all heads are replaced by what their codes stand for, so the next layer computes on results that are
off already, and what it makes of them is coded in its turn. Nothing else is changed.
"""

import math
import re
import sys
from pathlib import Path

import numpy as np

import extract
import minilm

from pimc_np import tensors  # extract knows where it is

# The first sentences of a page that have as many words as a paragraph must, and are not in the
# calibration's pages too.
A_PAGE = 10
END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
# The least cosine falls with the number of sentences; it is also told of so many.
FEW = 22
# How far the error of a head here may be from the one that the bench computed, and the heads that
# are looked at: one of each layer.
NEAR = 2e-4
LOOKED_AT = [(layer, (5 * layer + 1) % minilm.HEADS) for layer in range(minilm.LAYERS)]


class Codes:
    """Product quantization: the nearest centroid of every sub-vector, in the basis of the file."""

    def __init__(self, file):
        self.t = file
        heads, parts, self.k, self.sub = file["layer0.keys.centroids"].shape
        self.bits = math.ceil(math.log2(self.k)) / self.sub

    def decoded(self, side, head, vectors):
        """What the codes of `vectors` [tokens, dim] stand for; `side` is `layerL.keys` or `.values`."""
        of = {what: self.t[f"{side}.{what}"][head] for what in ("map", "inverse", "offset", "centroids")}
        books = of["centroids"]
        x = (vectors.astype(np.float64) @ of["map"].T - of["offset"]).astype(np.float32)
        x = x.reshape(len(x), *books.shape[::2]).transpose(1, 0, 2)
        # In single precision and in this order, as the bench adds them up.
        distance = np.zeros((*x.shape[:2], self.k), np.float32)
        for e in range(self.sub):
            distance += np.square(x[:, :, e, None] - books[:, None, :, e])
        # Of equally near ones the first, in both.
        code = distance.argmin(axis=-1)
        y = np.take_along_axis(books, code[:, :, None], axis=1).transpose(1, 0, 2)
        y = y.reshape(vectors.shape).astype(np.float64) + of["offset"]
        return (y @ of["inverse"].T).astype(np.float32)


class Uniform:
    """2^bits levels around the mean, with the step of least squared error for every token and head."""

    def __init__(self, file, bits):
        self.t = file
        self.top = np.float32(2**bits - 1) / np.float32(2)
        self.bits = bits + 16 / minilm.DIM

    def decoded(self, side, head, vectors):
        """As for codes."""
        mean, deviation = (self.t[f"{side}.{what}"][head] for what in ("mean", "deviation"))
        z = (vectors - mean) / deviation
        largest = np.abs(z).max(axis=-1, keepdims=True)
        largest[largest == 0] = 1
        steps = largest / self.top * np.arange(1, 65, dtype=np.float32) / np.float32(48)
        tried = self.rounded(z[:, None, :], steps[:, :, None])
        # Added up one after another, which sum() does not do.
        error = np.cumsum(np.square(z[:, None, :] - tried), axis=-1)[..., -1]
        best = np.take_along_axis(steps, error.argmin(axis=-1)[:, None], axis=-1)
        return mean + deviation * self.rounded(z, best)

    def rounded(self, v, step):
        half = np.float32(0.5)
        off = v / step - half
        # Halves away from zero.
        whole = np.copysign(np.floor(np.abs(off) + half), off)
        return np.clip(whole + half, -self.top, self.top) * step


def cached(format):
    """What a model's run takes: all heads of a layer as the format stores them."""

    def both(layer, keys, values):
        def one(side, all):
            heads = [format.decoded(f"layer{layer}.{side}", h, all[:, h]) for h in range(minilm.HEADS)]
            return np.stack(heads, axis=1)

        return one("keys", keys), one("values", values)

    return both


def formats(folder):
    """(label, basis, format, errors of all heads by the bench), in the order of the table."""
    found = []
    for path in folder.glob("*.safetensors"):
        kind, *rest = path.stem.split("-")
        file = tensors.read(path)
        if kind == "uniform":
            format = Uniform(file, int(rest[0]))
            label, basis = f"uniform {rest[0]} bit", "a step for every token and head"
        else:
            format, basis = Codes(file), rest[1]
            label = f"sub {format.sub}, k {format.k}"
        order = (kind == "uniform", format.bits, getattr(format, "k", 0), basis)
        found.append((order, (label, basis, format, file["error"])))
    if not found:
        raise SystemExit(f"no codebooks in {folder}")
    return [entry for _, entry in sorted(found, key=lambda f: f[0])]


def check(test, label, basis, format, errors):
    """Stops if coding here is not what it is in the bench: some heads' error on the test's windows."""
    worst = 0.0
    for layer, head in LOOKED_AT:
        parts = (test[f"layer{layer}.{what}"][:, head] for what in ("queries", "keys", "values"))
        q, k, v = (part.reshape(-1, extract.WINDOW, 1, minilm.DIM) for part in parts)
        off = size = 0.0
        for q, k, v in zip(q, k, v):
            right = minilm.attention(q, k, v)
            coded = [
                format.decoded(f"layer{layer}.{side}", head, x[:, 0])[:, None]
                for side, x in (("keys", k), ("values", v))
            ]
            off += np.square(right - minilm.attention(q, *coded), dtype=np.float64).sum()
            size += np.square(right, dtype=np.float64).sum()
        worst = max(worst, abs(math.sqrt(off / size) - errors[layer, head]))
    print(f"{label}, {basis}: the bench's errors of {len(LOOKED_AT)} heads to {worst:.1e}", file=sys.stderr)
    if worst > NEAR:
        raise SystemExit("coding in Python is not what the bench does")


def sentences(unpacked, most):
    """Sentences of the test's pages, at most `most` of each."""
    calibration, test = extract.texts(unpacked)
    seen = set()

    def of(page):
        return [s for p in extract.paragraphs(page.read_text("utf-8"), seen) for s in END.split(p)]

    known = {s for page in calibration for s in of(page)}
    chosen = []
    for page in test:
        new = [s for s in dict.fromkeys(of(page)) if len(s.split()) >= extract.WORDS and s not in known]
        known.update(new)
        chosen += new[:most]
    return chosen


def least_of(cosines, few):
    """The least of `few` of the cosines: the mean over all ways to choose them."""
    n = len(cosines)
    ways = [math.comb(n - 1 - at, few - 1) for at in range(n)]
    return sum(c * w for c, w in zip(sorted(cosines), ways)) / math.comb(n, few)


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ["--all"]):
        raise SystemExit(__doc__)
    unpacked, out = Path(sys.argv[1]), Path(sys.argv[2])
    tokenizer, model = extract.load(unpacked)
    extract.check(tokenizer, model)
    texts = sentences(unpacked, None if sys.argv[3:] else A_PAGE)
    windows = [tokenizer.window(tokenizer.numbers(text)) for text in texts]
    lengths = [len(w) for w in windows]
    print(f"{len(windows)} sentences of {min(lengths)} to {max(lengths)} tokens, {np.mean(lengths):.0f} on average")
    right = [model.sentence(w) for w in windows]
    test = tensors.read(out / "test.safetensors")
    print(f"\n| format | basis | bit/value | error, all heads | sentence cosine | least | least of {FEW} |")
    print("|---|---|---|---|---|---|---|")
    for label, basis, format, errors in formats(out / "codebooks"):
        check(test, label, basis, format, errors)
        store = cached(format)
        cosines = [float(r @ model.sentence(w, store)) for r, w in zip(right, windows)]
        few = least_of(cosines, FEW)
        print(
            f"| {label} | {basis} | {format.bits:.2f} | {errors.mean():.3f} "
            f"| {np.mean(cosines):.3f} | {min(cosines):.3f} | {few:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
