"""Every weight format as a dense integer matrix, int64 [rows, cols]."""

import numpy as np

from . import generator
from .tensors import unpack_bits


def inner(m, n):
    """Inner dimension l = round(mn / (m+n)) of a BQQ block, a half upward, at least 1."""
    return max(1, int(np.floor(m * n / (m + n) + 0.5)))


def pq(codes, codebook):
    """[R, S] codes into [S or 1, k, sub] centroids."""
    rows, parts = codes.shape
    book = np.broadcast_to(codebook, (parts,) + codebook.shape[1:]).astype(np.int64)
    return book[np.arange(parts)[None, :], codes.astype(np.int64)].reshape(rows, -1)


def bqq(y, z, r, s, t, u, block):
    """The +-1 form: per block sum_i (r A B + s rowsum(A) + t colsum(B)) + u."""
    m, n = block
    a = 2 * unpack_bits(y, inner(m, n)) - 1
    b = 2 * unpack_bits(z, n) - 1
    r, s, t = (v.astype(np.int64)[..., None, None] for v in (r, s, t))
    blocks = r * (a @ b) + s * a.sum(-1)[..., :, None] + t * b.sum(-2)[..., None, :]
    dense = blocks.sum(0) + u.astype(np.int64)[..., None, None]
    return dense.transpose(0, 2, 1, 3).reshape(u.shape[0] * m, u.shape[1] * n)


def supermask(mask, cols, seed, layer=0, pruned=0, locked=0):
    """Generated sign times coats, the freeze rule applied to the stored coats."""
    coats, rows, _ = mask.shape
    amount = unpack_bits(mask, cols).sum(0)
    byte = generator.freeze_bytes(seed, layer, rows, cols)
    amount = np.where(byte < pruned + locked, coats, amount)
    amount = np.where(byte < pruned, 0, amount)
    return generator.signs(seed, layer, rows, cols) * amount


def grouped_int(q, scale=None):
    """q times the scale of its group: [R, C] and [R, C/group]."""
    q = q.astype(np.int64)
    if scale is None:
        return q
    return q * np.repeat(scale.astype(np.int64), q.shape[1] // scale.shape[1], axis=1)
