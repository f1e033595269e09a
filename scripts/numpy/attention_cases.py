"""The cases of golden_vectors.py that have a cache: a batch is successive steps."""

import numpy as np

from vector_cases import Case

RANDOM = np.random.default_rng(26051822)


def bytes_of(*shape, spread=128):
    """Random values of i8; of a spread below 128 nearer to 0."""
    x = np.clip(np.rint(RANDOM.normal(0, spread / 2, shape)), -128, 127) if spread < 128 else \
        RANDOM.integers(-128, 128, shape)
    return x.astype(np.int8)


class Kv:
    """The sizes of a cache, and a case around it."""

    def __init__(self, heads, kv_heads, dim, sub, k, tokens=64, sink=2, recent=4, start=0):
        self.heads, self.kv_heads, self.dim, self.sub, self.k = heads, kv_heads, dim, sub, k
        self.tokens, self.sink, self.recent, self.start = tokens, sink, recent, start

    def type(self):
        start = f", start={self.start}" if self.start else ""
        return (f"pq_kv<heads={self.heads}, kv_heads={self.kv_heads}, dim={self.dim}, tokens={self.tokens}, "
                f"sub={self.sub}, k={self.k}, sink={self.sink}, recent={self.recent}{start}>")

    def parts(self, spread=128, **given):
        """Random codebooks and first tokens, but for those given."""
        books = (self.kv_heads, self.dim // self.sub, self.k, self.sub)
        coded = max(0, self.start - self.sink - self.recent)
        out = {}
        for side in ("key", "value"):
            out[f"{side}_codebook"] = bytes_of(*books, spread=spread)
            if coded:
                codes = RANDOM.integers(0, self.k, (coded, *books[:2]))
                codes.flat[0], codes.flat[-1] = self.k - 1, 0
                out[f"{side}_codes"] = codes.astype(np.uint16 if self.k > 256 else np.uint8)
            if self.start > coded:
                out[f"{side}s"] = bytes_of(self.start - coded, self.kv_heads, self.dim, spread=spread)
        out.update(given)
        return out

    def steps(self, count, taken=1, queries=1, spread=128):
        """Random inputs of `count` steps."""
        token = taken * self.kv_heads * self.dim
        return {
            "q": bytes_of(count, queries * self.heads * self.dim, spread=spread),
            "k": bytes_of(count, token, spread=spread),
            "v": bytes_of(count, token, spread=spread),
            "n": np.full((count, 1), taken, np.int32),
            "limit": np.full((count, queries), self.tokens, np.int32),
        }

    def row(self, state=False):
        return self.heads * (self.dim + state)


def append_attend(name, kv, inputs, mul=5, shift=3, frac=8, bits=16, state=False, parts=None):
    """A step: append, then attend."""
    case = Case(name, **inputs).cache("kv", kv.type(), **(parts or kv.parts()))
    case.op("len", "append @kv, %k, %v, %n", 32, 1)
    rows = inputs["limit"].shape[1] * kv.row(state)
    flag = ", state" * state
    text = f"attend @kv, %q, %limit, mul={mul}, shift={shift}, frac={frac}{flag}"
    return case.op("o", text, 32 if state else bits, rows)


def with_counts(kv, counts, limits=None, **more):
    """Inputs that take these numbers of tokens, seen up to these limits."""
    most = max(max(counts), 1)
    queries = len(limits[0]) if limits else 1
    inputs = kv.steps(len(counts), most, queries, **more)
    inputs["n"] = np.array(counts, np.int32)[:, None]
    if limits:
        inputs["limit"] = np.array(limits, np.int32)
    return inputs


def shapes():
    """Head sizes, sub-vectors, centroids and groups."""
    # From empty through sink and recent to codes, several tokens at once and none.
    kv = Kv(4, 2, 32, 4, 16)
    counts, limits = [0, 1, 0, 3, 3, 2, 3], [[9], [1], [0], [3], [-1], [8], [1 << 30]]
    yield append_attend("attend_grows", kv, with_counts(kv, counts, limits, spread=30))
    kv = Kv(8, 1, 64, 8, 64, start=20, sink=0, recent=3)
    yield append_attend("attend_group_8", kv, kv.steps(3, spread=40), mul=1, shift=2, state=True, frac=4)
    kv = Kv(1, 1, 128, 2, 256, start=12, sink=4, recent=0)
    yield append_attend("attend_dim_128_k256", kv, kv.steps(2, 2, spread=40), mul=9, shift=5)
    kv = Kv(2, 2, 32, 4, 512, start=30, sink=0, recent=0)
    yield append_attend("attend_k512_none_exact", kv, kv.steps(2, 2, spread=40), mul=3, shift=1, frac=0, bits=8)
    kv = Kv(4, 1, 32, 2, 16, start=7, sink=4, recent=8)
    yield append_attend("attend_all_exact", kv, kv.steps(3, spread=40))
    kv = Kv(1, 1, 8, 8, 1, start=9, sink=1, recent=1)
    yield append_attend("attend_one_centroid", kv, kv.steps(2), mul=1, shift=0)
    kv = Kv(2, 1, 32, 8, 16, tokens=3100, sink=4, recent=16, start=3000)
    inputs = kv.steps(2, spread=20)
    inputs["limit"][1] = 1234
    yield append_attend("attend_3000", kv, inputs, mul=2, shift=2, state=True, parts=kv.parts(spread=30))
    kv = Kv(3, 3, 6, 3, 5, tokens=5, sink=1, recent=2)
    yield append_attend("attend_odd_sizes_to_the_brim", kv, with_counts(kv, [2, 1, 2], [[5, 2]] * 3))


def scores():
    """What the softmax can meet."""
    # A prompt of several queries, each seeing itself and what is before it.
    kv = Kv(4, 2, 32, 4, 16, start=5, sink=1, recent=2)
    limits = [[5 + 8 * s + i + 1 for i in range(8)] for s in range(2)]
    yield append_attend("attend_causal", kv, with_counts(kv, [8, 8], limits, spread=30))
    kv = Kv(2, 1, 32, 4, 16, start=25, sink=2, recent=3)
    inputs = kv.steps(2)
    inputs["q"][0] = 0
    inputs["q"][1, ::2] = 0
    yield append_attend("attend_equal_scores", kv, inputs, state=True)
    # One key is the query's direction, the others' is the opposite.
    parts = kv.parts(keys=np.full((5, 1, 32), -128, np.int8), key_codebook=np.full((1, 8, 16, 4), -128, np.int8))
    inputs = kv.steps(1)
    inputs["q"][:], inputs["k"][:] = 127, 127
    yield append_attend("attend_one_far_above", kv, inputs, mul=65535, shift=0, parts=parts)
    # The largest of all scores, and means of the least value.
    least = {name: np.full_like(x, -128) for name, x in kv.parts().items() if "codes" not in name}
    inputs = kv.steps(2)
    for name in "qkv":
        inputs[name][:] = -128
    yield append_attend("attend_all_least", kv, inputs, state=True, mul=65535, shift=5, parts=kv.parts(**least))
    yield append_attend("attend_clamped", kv, inputs, frac=4, bits=8, parts=kv.parts(**least))
    yield append_attend("attend_flat", kv, kv.steps(2), mul=1, shift=31, frac=3)
    kv = Kv(2, 2, 8, 2, 4)
    yield append_attend("attend_nothing", kv, with_counts(kv, [0, 2], [[3, 0], [0, -5]]), state=True)


def ties():
    """Tokens halfway between centroids, and centroids that occur twice: the lowest code."""
    kv = Kv(1, 1, 4, 2, 4, sink=0, recent=0)
    book = np.array([[[3, 5], [1, 5], [1, 5], [3, 3]], [[-128, 127], [127, -128], [0, 0], [-1, -1]]], np.int8)
    tokens = np.array([[2, 5, -1, 0], [2, 4, 0, -1], [1, 5, -128, -128], [2, 3, 127, 127], [2, 5, 0, 0]], np.int8)
    inputs = kv.steps(5)
    inputs["k"], inputs["v"] = tokens, tokens[::-1].copy()
    parts = {"key_codebook": book[None], "value_codebook": book[None, :, ::-1].copy()}
    yield append_attend("append_ties", kv, inputs, parts=parts)


def windows():
    """Attention over two caches put together, of one cache before and after an append, and alone."""
    near, far = Kv(2, 1, 32, 4, 16, sink=1, recent=4), Kv(2, 1, 32, 4, 16, start=40, sink=0, recent=0)
    inputs = near.steps(4, spread=40)
    inputs["far"] = np.array([[40], [40], [0], [7]], np.int32)
    inputs["limit"][1] = 0
    inputs["limit"][2] = 0
    case = Case("merge_windows", **inputs)
    case.cache("near", near.type(), **near.parts(spread=40)).cache("far", far.type(), **far.parts(spread=40))
    size, constants = near.row(True), "mul=5, shift=2, frac=6, state"
    case.op("old", f"attend @near, %q, %limit, {constants}", 32, size)
    case.op("len", "append @near, %k, %v, %n", 32, 1)
    case.op("a", f"attend @near, %q, %limit, {constants}", 32, size)
    case.op("b", f"attend @far, %q, %far, {constants}", 32, size)
    case.op("ab", "merge %a, %b, dim=32, frac=6", 32, size)
    yield case.op("all", "merge %old, %ab, dim=32, frac=6", 32, size)

    edge = [-(1 << 31), 1 - (1 << 31), 0, 4096, (1 << 31) - 1, (1 << 31) - 2]
    pairs = np.array([(x, y) for x in edge for y in edge])
    pairs = np.concatenate([pairs, np.stack([RANDOM.integers(-9999, 9999, 36)] * 2, 1)])
    pairs[36:, 1] += RANDOM.integers(-70000, 70000, 36)
    # Where a weight is a half, 1 of 2^18, and nothing.
    pairs[36:46, 1] = pairs[36:46, 0] - [4095, 4096, 73728, 77823, 77824, 77825, 81919, 81920, -77824, -77825]
    rows = RANDOM.integers(-(1 << 15), 1 << 15, (2, 72, 5))
    rows[:, :12] = RANDOM.integers(-(1 << 31), 1 << 31, (2, 12, 5))
    rows[:, 12], rows[:, 13] = -(1 << 31), (1 << 31) - 1
    rows[:, :, 4] = pairs.T
    a, b = rows.reshape(2, 1, -1).astype(np.int32)
    yield Case("merge_states", a=a, b=b).op("y", "merge %a, %b, dim=4, frac=8", 32, 360)


def clusters():
    """Caches filled anew, then used."""
    def case(name, kv, tokens, counts, weights, iterations, spread=60):
        inputs = kv.steps(len(counts), spread=spread)
        token = tokens * kv.kv_heads * kv.dim
        for prompt in ("keys", "values"):
            inputs[prompt] = bytes_of(len(counts), token, spread=spread)
        inputs["weights"] = weights(len(counts), tokens * kv.kv_heads).astype(np.int32)
        inputs["count"] = np.array(counts, np.int32)[:, None]
        case = Case(name, **inputs).cache("kv", kv.type(), **kv.parts())
        option = "" if iterations is None else f", iterations={iterations}"
        case.op("filled", f"cluster @kv, %keys, %values, %weights, %count{option}", 32, 1)
        case.op("len", "append @kv, %k, %v, %n", 32, 1)
        return case.op("o", "attend @kv, %q, %limit, mul=2, shift=2, frac=8", 16, kv.row())

    random = lambda high: lambda *shape: RANDOM.integers(0, high, shape)
    kv = Kv(4, 2, 8, 2, 8, sink=2, recent=3)
    yield case("cluster_weighted", kv, 40, [40, 0, 4, 33], random(1000), None)
    yield case("cluster_as_sampled", kv, 30, [30, 12], random(5), 0)
    yield case("cluster_more_centroids_than_tokens", Kv(2, 1, 8, 4, 16, sink=1, recent=1), 12, [12, 9, 3], random(3), 2)
    yield case("cluster_weightless", kv, 25, [25], lambda *shape: np.zeros(shape), 3)
    yield case("cluster_great_weights", kv, 40, [40], lambda *shape: np.full(shape, (1 << 31) - 1), 5, spread=128)
    yield case("cluster_k300", Kv(1, 1, 4, 2, 300, tokens=400, sink=4, recent=0), 350, [350], random(9), 3, spread=128)


def all_cases():
    yield from shapes()
    yield from scores()
    yield from ties()
    yield from windows()
    yield from clusters()
