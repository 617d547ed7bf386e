"""Changes to files: to their bytes, and to the values of JSON and of pickled folds."""

import copy
import json

import numpy as np

STRANGE = (
    None,
    True,
    -1,
    0,
    2**63,
    10**40,
    float("nan"),
    float("inf"),
    1e30,
    "",
    "a" * 5000,
    "x\ud800",
    "\x00",
    b"\xff",
    b"ok",
    [],
    {},
    [[[]]],
    (1, 2),
    np.float64(-3),
    np.zeros((2, 0)),
    np.zeros(0),
    np.array(["a", "b"]),
    np.array([None, 1], dtype=object),
    np.full((2, 3, 8), np.nan),
    np.zeros(3, dtype=np.int8),
)
"""What a key of a pickle may hold instead of its value."""

OPCODES = (
    b"2",
    b"0",
    b"h\x00",
    b"\x94",
    b"\x85" * 300,
    b"(",
    b"t",
    b"s",
    b"u",
    b"R",
    b"b",
    b"}",
    b"]",
    b"N",
    b".",
)


def change_bytes(content, rng):
    """Some bytes changed, a piece cut out, doubled, zeroed or exchanged, or the end missing."""
    content = bytearray(content)
    start, size = int(rng.integers(len(content))), int(rng.integers(1, 200))
    piece = content[start : start + size]
    kind = rng.integers(6)
    if kind == 0:
        for place in rng.integers(len(content), size=rng.integers(1, 20)):
            content[place] = rng.integers(256)
    elif kind == 1:
        del content[start : start + size]
    elif kind == 2:
        content[start:start] = piece
    elif kind == 3:
        content[start : start + size] = bytes(len(piece))
    elif kind == 4:
        other = int(rng.integers(len(content)))
        content[other : other + len(piece)] = piece
    else:
        del content[start:]
    return bytes(content)


def change_opcodes(content, rng):
    """Opcodes put between the bytes of a pickle."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(content)))
        content[place:place] = OPCODES[rng.integers(len(OPCODES))] * int(rng.integers(1, 4))
    return bytes(content)


def change_folds(folds, rng):
    """A value of a pickled corpus, or one element of it, replaced by a strange one; or a key exchanged."""
    folds = copy.deepcopy(folds)
    fold = folds[str(rng.choice(list(folds)))]
    key = str(rng.choice(list(fold)))
    value = STRANGE[rng.integers(len(STRANGE))]
    kind = rng.integers(4)
    if kind == 0:
        fold[key] = value
    elif kind == 1:
        other = str(rng.choice(list(fold)))
        fold[key], fold[other] = fold[other], fold[key]
    elif isinstance(fold[key], np.ndarray) and fold[key].dtype.kind in "iuf":
        fold[key] = fold[key].copy()
        fold[key].flat[rng.integers(fold[key].size)] = rng.choice([-1, -7, np.nan, np.inf, 1e30, 0.5, 100])
    else:
        fold[key] = list(fold[key])
        fold[key][rng.integers(len(fold[key]))] = value
    return folds


def change_json(content, rng):
    """A value somewhere in JSON replaced, removed, doubled or moved; it stays JSON."""
    value = json.loads(content)
    places = list(_places(value))
    holder, key = places[rng.integers(len(places))]
    kind = rng.integers(4)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = [None, -1, 2**70, 1e9, "", "other", [], {}, [[]], True][rng.integers(10)]
    elif kind == 2 and isinstance(holder[key], (int, float)):
        holder[key] += 1
    elif isinstance(holder, list):
        holder.insert(int(rng.integers(len(holder) + 1)), holder[key])
    else:
        other, place = places[rng.integers(len(places))]
        holder[key], other[place] = other[place], holder[key]
    try:
        return json.dumps(value).encode()
    except ValueError:  # a value moved into itself
        return b"{}"


def _places(value):
    """Every holder and key in decoded JSON."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from _places(inner)
