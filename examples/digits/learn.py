"""Training with numpy: Adam, plain layers, and Edge-Popup over generated signs."""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "scripts" / "numpy"))
from pimc_np import generator  # noqa: E402

BATCH = 64
# Standard deviation of the noise on inputs scaled to 0..1: with 1297 images it regularises.
INPUT_NOISE = 0.1


class Adam:
    """Adam (arXiv 1412.6980) with decoupled weight decay, on arrays changed in place."""

    def __init__(self, arrays, decay=0.0):
        self.arrays, self.decay, self.steps = arrays, decay, 0
        self.mean = [np.zeros_like(a) for a in arrays]
        self.square = [np.zeros_like(a) for a in arrays]

    def step(self, gradients, rate):
        self.steps += 1
        for a, g, m, v in zip(self.arrays, gradients, self.mean, self.square):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            unbiased = m / (1 - 0.9**self.steps)
            spread = np.sqrt(v / (1 - 0.999**self.steps)) + 1e-8
            a -= rate * (unbiased / spread + self.decay * a)


def batches(x, labels, epochs, rng):
    """Shuffled batches, each with the factor of a cosine-shaped learning rate."""
    per_epoch = -(-len(x) // BATCH)
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for i in range(per_epoch):
            part = order[i * BATCH:(i + 1) * BATCH]
            done = (epoch * per_epoch + i) / (epochs * per_epoch)
            yield x[part], labels[part], 0.5 * (1 + np.cos(np.pi * done))


def noisy(x, rng):
    return x + INPUT_NOISE * rng.standard_normal(x.shape).astype(np.float32)


def forward(x, weights, biases=None):
    """Values before each layer, then the logits; ReLU between layers."""
    values = [x]
    for i, w in enumerate(weights):
        z = values[-1] @ w.T + (biases[i] if biases else 0)
        values.append(np.maximum(z, 0) if i + 1 < len(weights) else z)
    return values


def backward(values, weights, labels):
    """Gradients of the mean cross entropy: by weights, by biases."""
    p = np.exp(values[-1] - values[-1].max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    g = p / len(labels)
    by_weight, by_bias = [None] * len(weights), [None] * len(weights)
    for i in reversed(range(len(weights))):
        by_weight[i], by_bias[i] = g.T @ values[i], g.sum(0)
        g = (g @ weights[i]) * (values[i] > 0)
    return by_weight, by_bias


def train_float(x, labels, sizes, epochs=60, rate=1e-3, decay=1e-2, seed=0):
    """Weights [out, in] and biases of a ReLU network; x is scaled to 0..1."""
    rng = np.random.default_rng(seed)
    pairs = list(zip(sizes, sizes[1:]))
    weights = [(rng.standard_normal((o, i)) * np.sqrt(2 / i)).astype(np.float32) for i, o in pairs]
    biases = [np.zeros(o, np.float32) for _, o in pairs]
    adam = Adam(weights + biases, decay)
    for xs, ys, factor in batches(x, labels, epochs, rng):
        by_weight, by_bias = backward(forward(noisy(xs, rng), weights, biases), weights, ys)
        adam.step(by_weight + by_bias, rate * factor)
    return weights, biases


def keep_largest(scores, density):
    """1 for the `density` fraction of largest |score|, else 0; of equal ones the lower index."""
    flat = np.abs(scores).ravel()
    mask = np.zeros(flat.size, np.float32)
    mask[np.argsort(-flat, kind="stable")[:round(density * flat.size)]] = 1
    return mask.reshape(scores.shape)


def train_masks(x, labels, sizes, density, sign_seed, layers, noise, epochs=80, rate=3e-3, seed=0):
    """Edge-Popup (arXiv 1911.13299): only the scores learn; a weight is sign * sigma where its score
    is among the largest, else 0. Gives the 0/1 masks [out, in] and the sigma of each layer.

    `layers` are the layer numbers given to the sign generator.
    """
    rng = np.random.default_rng(seed)
    signed, scores, sigmas = [], [], []
    for layer, i, o in zip(layers, sizes, sizes[1:]):
        sigma = np.float32(np.sqrt(2 / (density * i)))
        signed.append(generator.signs(sign_seed, layer, o, i).astype(np.float32) * sigma)
        scores.append(rng.uniform(-1, 1, (o, i)).astype(np.float32) / np.float32(np.sqrt(i)))
        sigmas.append(sigma)
    adam = Adam(scores)
    for xs, ys, factor in batches(x, labels, epochs, rng):
        weights = [w * keep_largest(s, density) for w, s in zip(signed, scores)]
        values = forward(noisy(xs, rng) if noise else xs, weights)
        by_weight, _ = backward(values, weights, ys)
        # Straight through the choice of the largest; |score| turns the gradient by the score's sign.
        gradients = [g * w * np.sign(s) for g, w, s in zip(by_weight, signed, scores)]
        adam.step(gradients, rate * factor)
    return [keep_largest(s, density) for s in scores], sigmas
