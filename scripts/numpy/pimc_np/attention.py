"""Attention on a product-quantized cache, in exact integers.

Nothing here goes token by token: scores are looked up in tables of the query's products with the
codebooks, weights are summed by code before they meet the values' codebooks, and codes are made for all
tokens that need them at once.
"""

import math

import numpy as np

SIDES = ("key", "value")
NOTHING = -(1 << 31)

WEIGHT_BITS = 18
ONE = 1 << WEIGHT_BITS
EXP = np.array([round(2.0 ** (WEIGHT_BITS - a / 64)) for a in range(65)], np.int64)
REC = [round(2.0**31 / (2**15 + 512 * a)) for a in range(65)]
LOG = [round(4096 * math.log2(1 + a / 64)) for a in range(65)]


def exp2_neg(y):
    """2^-y as a weight of which ONE is one, y in 1/4096 octaves."""
    y = np.asarray(y, np.int64)
    whole, part = np.minimum(y >> 12, 40), y & 4095
    low, b = EXP[part >> 6], part & 63
    e = low - ((low - EXP[(part >> 6) + 1]) * b + 32 >> 6)
    return np.where(whole > WEIGHT_BITS + 1, 0, e + ((1 << whole) >> 1) >> whole)


class Sum:
    """A sum of weights as a reciprocal and a logarithm."""

    def __init__(self, total):
        total = int(total)
        self.e = total.bit_length() - 1
        m16 = total >> self.e - 15
        a, b = m16 - 2**15 >> 9, m16 % 512
        self.r = REC[a] - ((REC[a] - REC[a + 1]) * b + 256 >> 9)
        self.log2 = (self.e - WEIGHT_BITS) * 4096 + LOG[a] + ((LOG[a + 1] - LOG[a]) * b + 256 >> 9)

    def divide(self, o, frac):
        s = 16 + self.e - frac
        return int(o) * self.r + 2 ** (s - 1) >> s


def nearest(x, book):
    """Of each row of `x` the nearest row of `book`; argmin takes the first of equal ones."""
    d = ((x[:, None, :] - book[None, :, :]) ** 2).sum(2)
    return d.argmin(1)


class Cache:
    """The tokens of a cache by position: codes [G, M] or elements [G, D] of each side."""

    def __init__(self, name, options, tensors):
        self.name = name
        option = lambda key: int(options.get(key, "0"))
        self.heads, self.kv_heads, self.dim = map(option, ("heads", "kv_heads", "dim"))
        self.sub, self.k, self.room = map(option, ("sub", "k", "tokens"))
        self.sink, self.recent, self.n = map(option, ("sink", "recent", "start"))
        self.books, self.codes, self.exact = {}, {}, {}
        compressed = self.compressed()
        kept = [p for p in range(self.n) if p not in compressed]
        for side in SIDES:
            get = lambda what: tensors[f"{name}.{what}"].astype(np.int64)
            self.books[side] = get(f"{side}_codebook")
            self.codes[side] = dict(zip(compressed, get(f"{side}_codes"))) if compressed else {}
            self.exact[side] = dict(zip(kept, get(f"{side}s"))) if kept else {}

    def compressed(self):
        """Positions held as codes."""
        return range(self.sink, max(self.sink, self.n - self.recent))

    def encode(self):
        """Codes for the tokens that are still exact and no longer may be."""
        for side in SIDES:
            moved = [p for p in self.compressed() if p in self.exact[side]]
            if not moved:
                continue
            x = np.stack([self.exact[side].pop(p) for p in moved])
            codes = np.empty((len(moved), self.kv_heads, self.dim // self.sub), np.int64)
            for g, j in np.ndindex(codes.shape[1:]):
                part = x[:, g, j * self.sub:(j + 1) * self.sub]
                codes[:, g, j] = nearest(part, self.books[side][g, j])
            self.codes[side].update(zip(moved, codes))

    def tokens(self, x):
        return x.reshape(-1, self.kv_heads, self.dim)

    def append(self, k, v, count):
        for side, x in zip(SIDES, (k, v)):
            self.exact[side].update(enumerate(self.tokens(x)[:count], self.n))
        self.n += count
        assert 0 <= self.n <= self.room
        self.encode()
        return self.n

    def cluster(self, k, v, weights, count, iterations):
        self.n = count
        self.codes = {side: {} for side in SIDES}
        weights = weights.reshape(-1, self.kv_heads)
        middle = list(self.compressed())
        for side, x in zip(SIDES, (k, v)):
            x = self.tokens(x)[:count]
            self.exact[side] = dict(enumerate(x))
            if not middle:
                continue
            for g, j in np.ndindex(self.books[side].shape[:2]):
                part = x[middle, g, j * self.sub:(j + 1) * self.sub]
                self.books[side][g, j] = kmeans(part, weights[middle, g], self.k, iterations)
        self.encode()
        return self.n

    def attend(self, q, limit, mul, shift, frac, state):
        q = q.reshape(len(limit), self.heads, self.dim)
        rows = [
            self.row(q[i, h], min(max(int(limit[i]), 0), self.n), h * self.kv_heads // self.heads,
                     mul, shift, frac, state)
            for i in range(len(limit)) for h in range(self.heads)
        ]
        return np.array(rows, object).ravel()

    def row(self, q, seen, g, mul, shift, frac, state):
        if not seen:
            return [0] * self.dim + [NOTHING] * state
        coded = [p for p in self.compressed() if p < seen]
        exact = sorted(p for p in self.exact["key"] if p < seen)
        stack = lambda held, side, order: np.stack([held[side][p][g] for p in order])
        scores = []
        if coded:
            tables = np.einsum("mks,ms->mk", self.books["key"][g], q.reshape(-1, self.sub))
            codes = stack(self.codes, "key", coded)
            scores.append(np.take_along_axis(tables, codes.T, axis=1).sum(0))
        if exact:
            scores.append(stack(self.exact, "key", exact) @ q)
        scores = np.concatenate(scores)
        most, half = scores.max(), 1 << shift >> 1
        p = exp2_neg((most - scores) * mul + half >> shift)
        o = np.zeros(self.dim, np.int64)
        if coded:
            codes = stack(self.codes, "value", coded)
            for j, book in enumerate(self.books["value"][g]):
                buckets = np.bincount(codes[:, j], p[:len(coded)], self.k).astype(np.int64)
                o[j * self.sub:(j + 1) * self.sub] = buckets @ book
        if exact:
            o += p[len(coded):] @ stack(self.exact, "value", exact)
        total = Sum(p.sum())
        row = [total.divide(x, frac) for x in o]
        return row + [(int(most) * mul + half >> shift) + total.log2] * state

    def held(self):
        """The cache's contents as a cache of that many tokens would begin with."""
        out = {}
        for side in SIDES:
            out[f"{self.name}.{side}_codebook"] = self.books[side].astype(np.int8)
            if self.codes[side]:
                codes = np.stack([self.codes[side][p] for p in sorted(self.codes[side])])
                out[f"{self.name}.{side}_codes"] = codes.astype(np.uint16 if self.k > 256 else np.uint8)
            if self.exact[side]:
                exact = np.stack([self.exact[side][p] for p in sorted(self.exact[side])])
                out[f"{self.name}.{side}s"] = exact.astype(np.int8)
        return out


def kmeans(x, weights, k, iterations):
    """Weighted k-means with integer centroids, from points evenly taken."""
    book = x[[c * len(x) // k for c in range(k)]].copy()
    for _ in range(iterations):
        member = nearest(x, book)[:, None] == np.arange(k)
        total = weights @ member
        sums = (weights[:, None] * x).T @ member
        moved = total > 0
        book[moved] = ((2 * sums[:, moved] + total[moved]) // (2 * total[moved])).T
    return book


def merge(a, b, dim):
    """Rows [D+1] of means and a log-sum-exp, two by two."""
    out = []
    for x, y in zip(a.reshape(-1, dim + 1).tolist(), b.reshape(-1, dim + 1).tolist()):
        if y[dim] > x[dim]:
            x, y = y, x
        if x[dim] == NOTHING:
            out += x
            continue
        w = 0 if y[dim] == NOTHING else int(exp2_neg(x[dim] - y[dim]))
        total = Sum(ONE + w)
        out += [total.divide(ONE * s + w * t, 0) for s, t in zip(x[:dim], y)]
        out.append(x[dim] + total.log2)
    return np.array(out, object)
