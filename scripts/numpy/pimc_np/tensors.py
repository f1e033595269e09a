"""Safetensors files with nothing but numpy: an 8-byte length, a JSON header, the data."""

import json
from pathlib import Path

import numpy as np

DTYPES = {
    "I8": "<i1", "U8": "<u1", "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4",
    "I64": "<i8", "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}
NAMES = {np.dtype(v): k for k, v in DTYPES.items()}


def read(path):
    """All tensors of a file, by name."""
    blob = Path(path).read_bytes()
    size = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:8 + size])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + at for at in entry["data_offsets"])
        flat = np.frombuffer(blob[begin:end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def encode(tensors, metadata=None):
    """The bytes of a file that holds `tensors`, in the order given."""
    header = {"__metadata__": metadata} if metadata else {}
    data = b""
    # Widest elements first keeps every tensor aligned to its element.
    for name, tensor in sorted(tensors.items(), key=lambda kv: -np.asarray(kv[1]).itemsize):
        tensor = np.ascontiguousarray(tensor)
        raw = tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def write(path, tensors, metadata=None):
    """Writes `tensors` to `path`."""
    Path(path).write_bytes(encode(tensors, metadata))


def pack_bits(bits):
    """0/1 of shape [.., n] packed least significant first along the last axis, to whole bytes."""
    return np.packbits(np.asarray(bits, np.uint8), axis=-1, bitorder="little")


def unpack_bits(packed, n):
    """The first `n` bits of every row of `packed`, as 0/1 int64."""
    return np.unpackbits(packed, axis=-1, bitorder="little")[..., :n].astype(np.int64)
