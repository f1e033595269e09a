"""all-MiniLM-L6-v2 in numpy: tokens, and the queries, keys and values of every layer."""

import json
import math
import unicodedata
from pathlib import Path

import numpy as np

LAYERS, HEADS, DIM, HIDDEN = 6, 12, 32, 384
EPSILON = 1e-12
# Abramowitz and Stegun 7.1.26 would be 1.5e-7 off; the error function of the library is exact.
ERF = np.vectorize(math.erf, otypes=[np.float64])


class Tokenizer:
    """BERT's uncased word pieces: clean, lower case, no accents, split, longest piece first."""

    LONGEST_WORD = 100

    def __init__(self, vocabulary):
        words = Path(vocabulary).read_text(encoding="utf-8").splitlines()
        self.number = {word: at for at, word in enumerate(words)}
        self.known = {}

    def pieces(self, word):
        """The numbers of a word's pieces; that of [UNK] if it has none."""
        found, start = [], 0
        while start < len(word) <= self.LONGEST_WORD:
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.number:
                    break
            else:
                break
            found.append(self.number[piece])
            start = end
        return found if start == len(word) else [self.number["[UNK]"]]

    def words(self, text):
        """Words and punctuation marks, each on its own."""
        text = unicodedata.normalize("NFD", text.lower())
        spaced = []
        for char in text:
            kind = unicodedata.category(char)
            if char.isspace():
                spaced.append(" ")
            elif kind == "Mn" or kind[0] == "C":
                continue
            elif kind[0] == "P" or char in "$+<=>^`|~" or 0x4E00 <= ord(char) <= 0x9FFF:
                spaced.append(f" {char} ")
            else:
                spaced.append(char)
        return "".join(spaced).split()

    def numbers(self, text):
        """The text as numbers, without [CLS] and [SEP]."""
        out = []
        for word in self.words(text):
            if word not in self.known:
                self.known[word] = self.pieces(word)
            out += self.known[word]
        return out

    def window(self, numbers):
        """A window as the model was trained on it."""
        return [self.number["[CLS]"], *numbers, self.number["[SEP]"]]


class Model:
    """The encoder. `weights` is the model's safetensors file as arrays."""

    def __init__(self, weights):
        self.w = weights

    def linear(self, x, name):
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def norm(self, x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + EPSILON)
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def run(self, numbers, cached=None):
        """Of a window: (queries, keys, values) of every layer, [tokens, heads, dim], and the
        last layer's results [tokens, hidden]. `cached(layer, keys, values)` gives the keys and
        values that the layer's attention takes in the place of those computed."""
        n = len(numbers)
        x = (
            self.w["embeddings.word_embeddings.weight"][numbers]
            + self.w["embeddings.position_embeddings.weight"][:n]
            + self.w["embeddings.token_type_embeddings.weight"][0]
        )
        x = self.norm(x, "embeddings.LayerNorm")
        parts = []
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            q, k, v = (
                self.linear(x, f"{at}.attention.self.{part}").reshape(n, HEADS, DIM)
                for part in ("query", "key", "value")
            )
            if cached:
                k, v = cached(layer, k, v)
            parts.append((q, k, v))
            x = x + self.linear(attention(q, k, v).reshape(n, HIDDEN), f"{at}.attention.output.dense")
            x = self.norm(x, f"{at}.attention.output.LayerNorm")
            up = self.linear(x, f"{at}.intermediate.dense")
            up = up * (0.5 * (1 + ERF(up / math.sqrt(2)))).astype(up.dtype)
            x = self.norm(x + self.linear(up, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return parts, x

    def sentence(self, numbers, cached=None):
        """The embedding of a window: the mean over its tokens, of length 1; `cached` as for `run`."""
        mean = self.run(numbers, cached)[1].mean(axis=0)
        return mean / np.linalg.norm(mean)


def attention(q, k, v):
    """Softmax over all tokens of the window; [tokens, heads, dim]."""
    scores = np.einsum("ihd,jhd->hij", q, k) / math.sqrt(DIM)
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return np.einsum("hij,jhd->ihd", p, v)


def check(config):
    """Stops if the model's own description is of another shape than the code above."""
    config = json.loads(Path(config).read_text(encoding="utf-8"))
    expected = {
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "hidden_size": HIDDEN,
        "hidden_act": "gelu",
        "layer_norm_eps": EPSILON,
        "position_embedding_type": "absolute",
    }
    for key, value in expected.items():
        if config.get(key) != value:
            raise SystemExit(f"{key} of the model is {config.get(key)}, not {value}")
