"""The cases of golden_vectors.py: every op and weight format, extremes beside random values."""

import numpy as np

from pimc_np import program, weights
from pimc_np.tensors import pack_bits
from pimc_np.weights import inner

RANDOM = np.random.default_rng(20240607)
DTYPES = {8: np.int8, 16: np.int16, 32: np.int32, 64: np.int64}


def ints(bits, *shape):
    """Random values of iN, the extremes among them."""
    lo, hi = program.limits(bits)
    values = RANDOM.integers(lo, hi, shape, dtype=np.int64, endpoint=True)
    values.flat[0] = lo
    values.flat[-1] = hi
    return values.astype(DTYPES[bits])


def batch(length, bits=8):
    """Inputs: all least, all greatest, alternating extremes, zero, two random."""
    lo, hi = program.limits(bits)
    rows = np.empty((6, length), np.int64)
    rows[0], rows[1], rows[2], rows[3] = lo, hi, lo, 0
    rows[2, 1::2] = hi
    rows[4:] = RANDOM.integers(lo, hi, (2, length), endpoint=True)
    return rows.astype(DTYPES[bits])


def spanning(low, high):
    """Bits of the narrowest type that holds low..=high."""
    bits = 1
    while not (program.limits(bits)[0] <= low and high <= program.limits(bits)[1]):
        bits += 1
    return bits


class Case:
    """One module: declarations, ops, inputs."""

    def __init__(self, name, **inputs):
        self.name = name
        self.inputs = inputs
        self.tensors = {}
        self.declarations = []
        self.ops = []
        self.result = None

    def weight(self, name, ty, keyword="weight", **parts):
        self.declarations.append(f'{keyword} @{name} : {ty} from "model.safetensors"')
        self.tensors.update({f"{name}.{part}": tensor for part, tensor in parts.items()})
        return self

    def cache(self, name, ty, **parts):
        return self.weight(name, ty, "cache", **parts)

    def param(self, name, values):
        bits = values.dtype.itemsize * 8
        self.declarations.append(f'param @{name} : i{bits}<{len(values)}> from "model.safetensors"')
        self.tensors[name] = values
        return self

    def op(self, name, text, bits, length):
        self.ops.append(f"  %{name} = {text} : i{bits}<{length}>")
        self.result = (name, bits, length)
        return self

    def matvec(self, weight, dense):
        """A matvec of the narrowest type that every input of x's type allows."""
        lo, hi = program.limits(self.inputs["x"].dtype.itemsize * 8)
        dense = dense.astype(object)
        up, down = np.maximum(dense, 0).sum(1), np.minimum(dense, 0).sum(1)
        bits = spanning(min(up * lo + down * hi), max(up * hi + down * lo))
        return self.op("y", f"matvec @{weight}, %x", bits, len(dense))

    def text(self):
        args = ", ".join(
            f"%{name}: i{x.dtype.itemsize * 8}<{x.shape[1]}>" for name, x in self.inputs.items()
        )
        name, bits, length = self.result
        return "\n".join(
            ["pimc 1", "", 'target "hbm3-pim"', "", *self.declarations]
            + [""] * bool(self.declarations)
            + [f"func @main({args}) -> i{bits}<{length}> {{", *self.ops, f"  return %{name}", "}", ""]
        )


def pq(name, rows, parts, sub, k, shared=False, book=None, codes=None):
    codes = RANDOM.integers(0, k, (rows, parts)) if codes is None else codes
    codes.flat[0], codes.flat[-1] = k - 1, 0
    codes = codes.astype(np.uint16 if k > 256 else np.uint8)
    book = ints(8, 1 if shared else parts, k, sub) if book is None else book
    case = Case(name, x=batch(parts * sub))
    ty = f"pq<{rows}x{parts * sub}, sub={sub}, k={k}{', shared' * shared}>"
    case.weight("w", ty, codes=codes, codebook=book)
    return case.matvec("w", weights.pq(codes, book))


def bqq(name, grid, block, bases, fill=None, scalars=None):
    (gr, gc), (m, n) = grid, block
    l = inner(m, n)
    bits = lambda *s: RANDOM.integers(0, 2, s) if fill is None else np.full(s, fill)
    r, s, t, u = scalars or (None,) * 4
    scalar = lambda v, b, *s: ints(b, *s) // 16 if v is None else np.full(s, v, DTYPES[b])
    parts = {
        "y": pack_bits(bits(bases, gr, gc, m, l)),
        "z": pack_bits(bits(bases, gr, gc, l, n)),
        "r": scalar(r, 16, bases, gr, gc),
        "s": scalar(s, 16, bases, gr, gc),
        "t": scalar(t, 16, bases, gr, gc),
        "u": scalar(u, 32, gr, gc),
    }
    case = Case(name, x=batch(gc * n))
    case.weight("w", f"bqq<{gr * m}x{gc * n}, bases={bases}, block={m}x{n}>", **parts)
    return case.matvec("w", weights.bqq(*parts.values(), block))


def supermask(name, rows, cols, coats=1, density=0.4, seed=0x5EED, layer=0, pruned=0, locked=0):
    # Nested planes: plane i+1 is a part of plane i.
    keep = RANDOM.random((coats, rows, cols)) < density
    planes = np.logical_and.accumulate(keep, axis=0)
    mask = pack_bits(planes)
    frozen = f", pruned={pruned}, locked={locked}" if pruned or locked else ""
    case = Case(name, x=batch(cols))
    ty = f"supermask<{rows}x{cols}, coats={coats}, seed={seed:#x}, layer={layer}{frozen}>"
    case.weight("w", ty, mask=mask)
    # The verifier does not generate signs and freeze bytes: it allows for either sign, and for a
    # lock anywhere.
    coats_most = np.full((rows, cols), coats) if locked else planes.sum(0)
    far = 128 * int(coats_most.sum(1).max())
    return case.op("y", "matvec @w, %x", spanning(-far, far), rows)


def plain(name, rows, cols, bits, group=None, fill=None, scale=None):
    lo, hi = program.limits(bits)
    q = RANDOM.integers(lo, hi, (rows, cols), endpoint=True) if fill is None else np.full((rows, cols), fill)
    q.flat[0] = lo
    parts = {"q": q.astype(np.int8)}
    grouped = ""
    if group:
        shape = (rows, cols // group)
        parts["scale"] = ints(16, *shape) if scale is None else np.full(shape, scale, np.int16)
        grouped = f", group={group}"
    case = Case(name, x=batch(cols)).weight("w", f"int<{rows}x{cols}, bits={bits}{grouped}>", **parts)
    return case.matvec("w", weights.grouped_int(*parts.values()))


def requant(name, x, to, mul, shift):
    """`mul` and `shift` are numbers, or arrays with one element per row."""
    case = Case(name, x=x)
    options = []
    for key, value in (("mul", mul), ("shift", shift)):
        if isinstance(value, np.ndarray):
            case.param(key, value)
            options.append(f"{key}=@{key}")
        else:
            options.append(f"{key}={value}")
    return case.op("y", f"requant %x, {', '.join(options)}", to, x.shape[1])


def matvec_cases():
    yield pq("pq_one_weight", 1, 1, 1, 2)
    yield pq("pq_k2_sub1", 20, 24, 1, 2)
    yield pq("pq_k16_sub2", 33, 24, 2, 16)
    yield pq("pq_k16_sub2_shared", 10, 24, 2, 16, shared=True)
    yield pq("pq_k3_sub3", 17, 5, 3, 3)
    yield pq("pq_k256_sub4", 7, 3, 4, 256)
    yield pq("pq_k512_sub8", 21, 2, 8, 512)
    yield pq("pq_one_row", 1, 40, 2, 16)
    yield pq("pq_all_least", 3, 16, 4, 4, book=np.full((16, 4, 4), -128, np.int8))
    yield bqq("bqq_one_block", (1, 1), (8, 8), 1)
    yield bqq("bqq_grid", (2, 2), (16, 24), 2)
    yield bqq("bqq_four_bases", (2, 1), (12, 10), 4)
    yield bqq("bqq_one_row", (1, 2), (1, 16), 2)
    yield bqq("bqq_tall", (1, 3), (40, 2), 2)
    yield bqq("bqq_inner_tie", (1, 1), (3, 3), 1)
    least = (-(1 << 15), -(1 << 15), -(1 << 15), -(1 << 31))
    yield bqq("bqq_all_least", (1, 2), (16, 16), 2, fill=1, scalars=least)
    yield bqq("bqq_all_minus_one", (1, 1), (16, 16), 1, fill=0, scalars=(3, -5, 7, 11))
    yield bqq("bqq_zero_scalars", (1, 1), (6, 9), 2, scalars=(0, 0, 0, 0))
    yield supermask("supermask_plain", 33, 70)
    yield supermask("supermask_one_weight", 1, 1, density=1.1)
    yield supermask("supermask_one_row", 1, 200, seed=1)
    yield supermask("supermask_all_zero", 5, 64, density=-1)
    yield supermask("supermask_all_one", 18, 130, density=1.1, layer=3)
    yield supermask("supermask_three_coats", 10, 96, coats=3, density=0.6, layer=7)
    yield supermask("supermask_frozen_70", 24, 100, pruned=128, locked=51, layer=1)
    yield supermask("supermask_frozen_coats", 9, 65, coats=3, density=0.7, pruned=90, locked=89)
    yield supermask("supermask_all_pruned", 3, 40, density=1.1, pruned=256)
    yield supermask("supermask_all_locked", 3, 40, coats=2, density=-1, locked=256)
    yield supermask("supermask_great_seed", 4, 40, seed=0xFFFFFFFF, layer=0x7FFFFFFF)
    yield supermask("supermask_zero_state", 2, 40, seed=0x01FCE552)
    yield plain("int_8", 19, 30, 8)
    yield plain("int_8_all_least", 2, 64, 8, fill=-128)
    yield plain("int_2", 5, 17, 2)
    yield plain("int_4_grouped", 12, 48, 4, group=16)
    yield plain("int_grouped_least", 2, 8, 8, group=4, fill=-128, scale=-(1 << 15))
    yield plain("int_one_row", 1, 9, 8)


def vector_cases():
    yield Case("add_values", a=batch(6), b=batch(6)[::-1].copy()).op("y", "add %a, %b", 9, 6)
    yield Case("add_wide", a=batch(4, 32), b=batch(4, 32)).op("y", "add %a, %b", 33, 4)
    bias = Case("add_param", x=batch(5)).param("bias", ints(32, 5))
    yield bias.op("y", "add %x, @bias", 33, 5)
    yield Case("relu", x=batch(9)).op("y", "relu %x", 8, 9)
    yield requant("requant_ties", np.arange(-16, 16, dtype=np.int16)[None, :], 8, 1, 3)
    yield requant("requant_shift_0", batch(7, 16), 8, 1, 0)
    yield requant("requant_negative_mul", batch(7, 32), 8, -21431, 38)
    yield requant("requant_negative_ties", np.arange(-16, 16, dtype=np.int16)[None, :], 8, -1, 2)
    yield requant("requant_mul_0", batch(3, 16), 8, 0, 5)
    yield requant("requant_shift_62", batch(5, 32), 8, (1 << 31) - 1, 62)
    yield requant("requant_least_mul", batch(5, 32), 32, -(1 << 31), 31)
    yield requant("requant_to_4", batch(9, 16), 4, 77, 19)
    shift = np.array([0, 1, 7, 20, 31, 62], np.int8)
    yield requant("requant_per_row", batch(6, 32), 16, ints(32, 6), shift)
    yield requant("requant_mul_per_row", batch(6, 16), 8, ints(16, 6), 22)
    yield requant("requant_shift_per_row", batch(6, 16), 8, 3, shift)
    every = np.arange(-128, 128, dtype=np.int8)[None, :]
    yield Case("table_every_input", x=every).param("t", ints(8, 256)).op("y", "table %x, @t", 8, 256)
    yield Case("table_wide", x=batch(5)).param("t", ints(16, 256)).op("y", "table %x, @t", 16, 5)
    ties = np.array([[5, 5, 5, 5], [-128, -128, -128, -128], [1, 7, 7, 3], [-9, -8, -9, -8], [0, 1, 2, 3]], np.int8)
    yield Case("argmax_ties", x=ties).op("y", "argmax %x", 3, 1)
    yield Case("argmax_one", x=batch(1)).op("y", "argmax %x", 1, 1)
    yield Case("concat", a=batch(3), b=batch(1), c=batch(4)).op("y", "concat %a, %b, %c, %a", 8, 11)
    yield Case("slice_middle", x=batch(9)).op("y", "slice %x, start=3, len=4", 8, 4)
    yield Case("slice_ends", x=batch(9)).op("a", "slice %x, start=8, len=1", 8, 1).op(
        "b", "slice %x, start=0, len=1", 8, 1).op("y", "concat %b, %a", 8, 2)


def network():
    """All formats and most ops in one function."""
    case = Case("network", x=batch(24))
    pq_codes, pq_book = RANDOM.integers(0, 16, (32, 12)).astype(np.uint8), ints(8, 12, 16, 2)
    l = inner(16, 16)
    case.weight("fc1", "pq<32x24, sub=2, k=16>", codes=pq_codes, codebook=pq_book)
    case.weight(
        "fc2", "bqq<32x32, bases=2, block=16x16>",
        y=pack_bits(RANDOM.integers(0, 2, (2, 2, 2, 16, l))),
        z=pack_bits(RANDOM.integers(0, 2, (2, 2, 2, l, 16))),
        r=ints(16, 2, 2, 2) // 64, s=ints(16, 2, 2, 2) // 256, t=ints(16, 2, 2, 2) // 256,
        u=(ints(16, 2, 2) // 64).astype(np.int32),
    )
    case.weight("fc3", "supermask<10x32, coats=1, seed=0x5eed, layer=2>",
                mask=pack_bits(RANDOM.integers(0, 2, (1, 10, 32))))
    case.weight("fc4", "int<10x32, bits=4>", q=RANDOM.integers(-8, 8, (10, 32)).astype(np.int8))
    case.param("b1", ints(16, 32)).param("m2", np.full(32, 9001, np.int32) + np.arange(32, dtype=np.int32))
    case.param("t3", np.round(np.tanh(np.arange(-128, 128) / 40) * 127).astype(np.int8))
    case.op("0", "matvec @fc1, %x", 32, 32).op("1", "add %0, @b1", 32, 32).op("2", "relu %1", 32, 32)
    case.op("3", "requant %2, mul=21431, shift=24", 8, 32)
    case.op("4", "matvec @fc2, %3", 48, 32).op("5", "requant %4, mul=@m2, shift=34", 8, 32)
    case.op("6", "table %5, @t3", 8, 32)
    case.op("7", "matvec @fc3, %6", 32, 10).op("8", "matvec @fc4, %6", 32, 10)
    case.op("9", "add %7, %8", 33, 10).op("10", "slice %9, start=1, len=9", 33, 9)
    return case.op("11", "argmax %10", 5, 1)


def all_cases():
    yield from matvec_cases()
    yield from vector_cases()
    yield network()
