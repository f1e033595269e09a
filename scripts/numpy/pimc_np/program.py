"""Reads a `.ir` file and evaluates its function on a batch, in exact integers."""

import re
from pathlib import Path

import numpy as np

from . import attention, tensors, weights

WEIGHT = re.compile(r'weight @(\w+)\s*:\s*(\w+)<([^>]*)>\s*from "([^"]+)"')
PARAM = re.compile(r'param\s+@(\w+)\s*:\s*i\d+<\d+>\s*from "([^"]+)"')
CACHE = re.compile(r'cache\s+@(\w+)\s*:\s*pq_kv<([^>]*)>\s*from "([^"]+)"')
INPUTS = re.compile(r"%(\w+)\s*:\s*i(\d+)<(\d+)>")
OP = re.compile(r"%(\w+)\s*=\s*(\w+)\s+(.*?)\s*:\s*i(\d+)<(\d+)>$")


class Program:
    """A parsed module with dense weights."""

    def __init__(self, path):
        path = Path(path)
        text = re.sub(r"//[^\n]*", "", path.read_text())
        files = {}

        def load(name):
            if name not in files:
                files[name] = tensors.read(path.parent / name)
            return files[name]

        self.weights = {m[1]: dense(m[1], m[2], m[3], load(m[4])) for m in WEIGHT.finditer(text)}
        self.params = {m[1]: load(m[2])[m[1]].astype(np.int64) for m in PARAM.finditer(text)}
        self.caches = {
            m[1]: (dict(o.strip().split("=") for o in m[2].split(",")), load(m[3]))
            for m in CACHE.finditer(text)
        }
        body = text[text.index("func"):]
        self.inputs = [m[1] for m in INPUTS.finditer(body[:body.index("{")])]
        lines = [line.strip() for line in body[body.index("{") + 1:].splitlines()]
        self.ops = [OP.match(line).groups() for line in lines if line.startswith("%")]
        self.result = next(line.split("%")[1] for line in lines if line.startswith("return"))

    def run(self, inputs):
        """Every value by name, int64 [batch, len], for inputs of shape [batch, len] by name. With
        caches the batch is one step after the other, and what the caches hold at last is there too."""
        caches = {name: attention.Cache(name, *given) for name, given in self.caches.items()}
        inputs = {name: np.asarray(inputs[name], np.int64) for name in self.inputs}
        if not caches:
            return self.step(inputs, caches)
        count = len(next(iter(inputs.values())))
        steps = [
            self.step({name: x[i:i + 1] for name, x in inputs.items()}, caches) for i in range(count)
        ]
        values = {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}
        for cache in caches.values():
            values.update(cache.held())
        return values

    def step(self, inputs, caches):
        """Every value of one evaluation, or of a batch of them where there is no cache."""
        values = dict(inputs)
        for name, op, operands, bits, length in self.ops:
            value = self.evaluate(op, operands, int(bits), values, caches)
            assert value.shape[1] == int(length), f"%{name} has {value.shape[1]} elements"
            lo, hi = limits(int(bits))
            assert value.min() >= lo and value.max() <= hi, f"%{name} does not fit i{bits}"
            values[name] = value.astype(np.int64)
        return values

    def evaluate(self, op, operands, bits, values, caches):
        """One op on the values before it."""
        args = [a.strip() for a in operands.split(",")]
        if op in ("append", "attend", "cluster", "merge"):
            return attend_op(op, args, bits, values, caches)
        options = dict(a.split("=") for a in args if "=" in a)
        args = [self.operand(a, values) for a in args if "=" not in a]
        if op == "matvec":
            return multiply(*args)
        if op == "add":
            return args[0].astype(object) + args[1].astype(object)
        if op == "relu":
            return np.maximum(args[0], 0)
        if op == "requant":
            mul, shift = (self.scalar(options[key]) for key in ("mul", "shift"))
            return requant(args[0], mul, shift, bits)
        if op == "table":
            return args[1][args[0] + 128]
        if op == "argmax":
            return args[0].argmax(axis=1)[:, None]
        if op == "concat":
            return np.concatenate(args, axis=1)
        if op == "slice":
            start, length = int(options["start"]), int(options["len"])
            return args[0][:, start:start + length]
        raise ValueError(f"unknown op {op}")

    def operand(self, text, values):
        if text[0] == "%":
            return values[text[1:]]
        name = text[1:]
        return self.weights[name] if name in self.weights else self.params[name]

    def scalar(self, text):
        """A requantiser's constant: a number or one per row."""
        return self.params[text[1:]] if text[0] == "@" else np.int64(int(text, 0))


def attend_op(op, args, bits, values, caches):
    """An op on caches or states of attention, of one step."""
    options = {key: int(n) for key, n in (a.split("=") for a in args if "=" in a)}
    state = "state" in args
    cache = caches[args[0][1:]] if args[0][0] == "@" else None
    x = [values[a[1:]][0] for a in args if a[0] == "%"]
    if op == "append":
        return np.array([[cache.append(*x[:2], int(x[2][0]))]])
    if op == "cluster":
        iterations = options.get("iterations", 4)
        return np.array([[cache.cluster(*x[:3], int(x[3][0]), iterations)]])
    if op == "attend":
        row = cache.attend(*x, *(options[key] for key in ("mul", "shift", "frac")), state)
    else:
        row = attention.merge(*x, options["dim"])
    lo, hi = limits(bits)
    return np.clip(row, lo, hi)[None]


def dense(name, form, spec, file):
    """The dense matrix of a weight declaration."""
    shape, *options = [part.strip() for part in spec.split(",")]
    cols = int(shape.split("x")[1])
    opt = dict(o.split("=") for o in options if "=" in o)
    get = lambda key: file[f"{name}.{key}"]
    if form == "pq":
        return weights.pq(get("codes"), get("codebook"))
    if form == "bqq":
        block = tuple(int(v) for v in opt["block"].split("x"))
        return weights.bqq(*(get(key) for key in "yzrstu"), block)
    if form == "supermask":
        number = lambda key: int(opt.get(key, "0"), 0)
        return weights.supermask(get("mask"), cols, *map(number, ("seed", "layer", "pruned", "locked")))
    if form == "int":
        return weights.grouped_int(get("q"), file.get(f"{name}.scale"))
    raise ValueError(f"unknown weight format {form}")


def limits(bits):
    """Least and greatest value of iN."""
    return -(1 << bits - 1), (1 << bits - 1) - 1


def multiply(w, x):
    """x W^T in int64, after checking that no partial sum can leave it."""
    bound = np.abs(w).astype(float).sum(1).max() * max(1.0, np.abs(x).astype(float).max())
    assert bound < 2**62, "the product needs more than 64 bits"
    return x @ w.T


def requant(x, mul, shift, bits):
    """clamp((x*mul + 2^(shift-1)) >> shift), in Python integers where int64 is too narrow."""
    shift = np.broadcast_to(np.asarray(shift), x.shape[1:]).astype(object)
    half = np.array([1 << s - 1 if s else 0 for s in shift], object)
    scaled = (x.astype(object) * np.asarray(mul).astype(object) + half) >> shift
    lo, hi = limits(bits)
    return np.minimum(np.maximum(scaled, lo), hi)
