#!/usr/bin/env python3
"""The inputs of attention.ir, and how far its results are off.

    decode.py inputs           writes inputs.safetensors: the test text of sample.safetensors, a token a step
    decode.py error RESULT     compares `result` of a file that `pimc cosim --outputs` wrote with attention
                               in floating point; shares no code with pimc
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "scripts" / "numpy"))
from pimc_np import tensors  # noqa: E402


def real():
    """Queries, keys and values of the test text, [tokens, heads, dim]."""
    sample = tensors.read(HERE / "sample.safetensors")
    return [sample[f"test_{what}"].astype(np.float64) for what in ("queries", "keys", "values")]


def inputs(maps):
    """The same in bytes, a step per row. A token sees itself and those before it."""
    steps = len(real()[0])
    whole = {
        name: np.einsum("hij,thj->thi", maps[f"kv.{what}_map"], x) - maps.get(f"kv.{what}_offset", 0)
        for name, what, x in zip("qkv", ("query", "key", "value"), real())
    }
    content = {
        name: np.clip(np.rint(x), -127, 127).astype(np.int8).reshape(steps, -1)
        for name, x in whole.items()
    }
    content["n"] = np.ones((steps, 1), np.int32)
    content["limit"] = np.full((steps, 1), steps, np.int32)
    return content


def attention():
    """Causal attention in floating point, [tokens, heads, dim]."""
    q, k, v = real()
    scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(q.shape[2])
    scores[:, ~np.tri(len(q), dtype=bool)] = -np.inf
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.einsum("hij,jhd->ihd", p / p.sum(axis=-1, keepdims=True), v)


def error(maps, result):
    """Root of the squared distance over the squared size, of every head."""
    right = attention()
    given = np.einsum("hij,thj->thi", maps["kv.result_map"], result.reshape(right.shape))
    given += maps["kv.result_offset"]
    return np.sqrt(np.square(given - right).sum((0, 2)) / np.square(right).sum((0, 2)))


def main():
    maps = tensors.read(HERE / "attention.safetensors")
    if sys.argv[1:] == ["inputs"]:
        tensors.write(HERE / "inputs.safetensors", inputs(maps))
    elif len(sys.argv) == 3 and sys.argv[1] == "error":
        each = error(maps, tensors.read(sys.argv[2])["result"])
        print(f"error {each.mean():.4f}, of the heads " + ", ".join(f"{e:.4f}" for e in each))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
