"""The sign generator and the freeze bytes of supermask weights (normative: golden/src/sign.rs)."""

import numpy as np

MASK = np.uint64(0xFFFFFFFF)


def mix32(v):
    """The mixing function, elementwise on 32-bit values held in uint64."""
    v = np.asarray(v, np.uint64) & MASK
    v = v ^ (v >> np.uint64(16))
    v = v * np.uint64(0x7FEB352D) & MASK
    v = v ^ (v >> np.uint64(15))
    v = v * np.uint64(0x846CA68B) & MASK
    return v ^ (v >> np.uint64(16))


def words(seed, layer, rows, count):
    """Words 0..count of rows 0..rows: uint32 [rows, count]."""
    channel = np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B9)
    state = mix32(np.uint64(seed) ^ mix32(layer) ^ mix32(channel))
    state[state == 0] = 0x6D2B79F5
    out = np.empty((rows, count), np.uint32)
    for i in range(count):
        state = (state ^ state << np.uint64(13)) & MASK
        state = state ^ state >> np.uint64(17)
        state = (state ^ state << np.uint64(5)) & MASK
        out[:, i] = state
    return out


def signs(seed, layer, rows, cols):
    """+1 or -1 for every weight: int64 [rows, cols]. A set bit means -1."""
    w = words(seed, layer, rows, -(-cols // 32))
    bits = w[:, :, None] >> np.arange(32, dtype=np.uint32) & 1
    return 1 - 2 * bits.reshape(rows, -1)[:, :cols].astype(np.int64)


def freeze_bytes(seed, layer, rows, cols):
    """The freeze byte of every weight, 0..=255: int64 [rows, cols]."""
    w = words(seed, layer ^ 0x80000000, rows, -(-cols // 4))
    byte = w[:, :, None] >> (8 * np.arange(4, dtype=np.uint32)) & 0xFF
    return byte.reshape(rows, -1)[:, :cols].astype(np.int64)
