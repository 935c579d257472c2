"""Programs of random nodes, one after the other, domains of their inputs, and rows in the domains."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from programs.making import ensemble
from sqlml.programs.domains import Domain
from sqlml.programs.program import (
    APPLIED,
    ARITHMETIC,
    COMBINED,
    LINKS,
    RULES,
    Apply,
    Arithmetic,
    Builder,
    Combine,
    Constant,
    Distances,
    Encode,
    FillText,
    Guard,
    Linear,
    Link,
    Median,
    OneHot,
    Piecewise,
    Replace,
    Trees,
)

WORDS = ["AA", "UA", "DL", "B6", "", "O'Hare"]
NUMBERS = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, 7.0, -2.5, 1e-30, 1e300, 3.5e38, math.inf, -math.inf]
INPUTS = [("t", True), ("u", True), ("x", False), ("y", False), ("z", False), ("v", False)]


def program(random, steps, *, linear=False, kinds=None):
    """A program of so many steps; sums whose order matters come last, where `linear`."""
    graph = Builder(INPUTS)
    texts = [(0, 0), (1, 0)]
    numbers = [(i, 0) for i in range(2, len(INPUTS))]
    # What text there is is encoded at least once.
    numbers += _encode_text(random, graph, texts)
    makers = list(_MADE) if kinds is None else kinds
    for _ in range(steps):
        kind = makers[random.integers(len(makers))]
        made = _MADE[kind](random, graph, numbers, texts)
        numbers += made
    heads = tuple(numbers[i] for i in random.integers(max(0, len(numbers) - 12), len(numbers), 3))
    if linear:
        taken = _some(random, numbers, 6)
        weights = np.round(random.normal(size=(len(taken), 2)), 2)
        heads = graph.add(Linear(inputs=taken, weights=weights, bias=random.normal(size=2)))
    return graph.program({"value": heads, "label": (numbers[-1],)})


def _some(random, columns, most):
    recent = columns[-14:] if random.random() < 0.7 else columns
    return tuple(recent[i] for i in random.integers(0, len(recent), random.integers(1, most + 1)))


def _one(random, columns):
    return (columns[random.integers(len(columns))],)


def _value(random):
    return float(NUMBERS[random.integers(9)])


def _rare(random, value):
    return None if random.random() < 0.3 else value


def _encode_text(random, graph, texts):
    keys = tuple(random.permutation(WORDS)[: random.integers(1, 6)].tolist())
    codes = np.round(random.permutation(len(keys)).astype(float), 1)
    missing = _rare(random, math.nan if random.random() < 0.3 else -2.0)
    unknown = _rare(random, math.nan if random.random() < 0.3 else -1.0)
    source = _one(random, texts)
    return graph.add(Encode(inputs=source, keys=keys, codes=codes, missing=missing, unknown=unknown))


def _encode_numbers(random, graph, numbers):
    keys = np.unique(random.choice(NUMBERS[:9], random.integers(0, 6)))
    codes = random.permutation(len(keys)).astype(float)
    missing, unknown = _rare(random, 9.0), _rare(random, -1.0)
    return graph.add(Encode(inputs=_one(random, numbers), keys=keys, codes=codes, missing=missing, unknown=unknown))


def _fill(random, graph, texts):
    made = graph.add(FillText(inputs=_one(random, texts), texts=(WORDS[random.integers(len(WORDS))],)))
    texts += made
    return _encode_text(random, graph, [*made])


def _arithmetic(random, graph, numbers):
    taken = _some(random, numbers, 4)
    op = ARITHMETIC[random.integers(len(ARITHMETIC))]
    return graph.add(Arithmetic(inputs=taken, op=op, operand=np.array([_value(random) for _ in taken])))


def _combine(random, graph, numbers):
    taken = _some(random, numbers, 4)
    op = COMBINED[random.integers(len(COMBINED))]
    size = 2 if op in ("divide", "power") else random.integers(1, 4)
    groups = random.integers(0, len(taken), (random.integers(1, 3), size)).astype(np.int32)
    return graph.add(Combine(inputs=taken, op=op, groups=groups))


def _piecewise(random, graph, numbers):
    pieces = {"edges": np.array([-1.0, 0.5, 1.0]), "origins": np.array([-1.0, -1.0, 0.5, 1.0])}
    curve = np.round(random.normal(size=(4, 2, 3)), 2)
    left = bool(random.integers(2))
    return graph.add(Piecewise(inputs=_one(random, numbers), coefficients=curve, left=left, **pieces))


def _trees(random, graph, numbers):
    taken = _some(random, numbers, 6)
    held = ensemble(random, len(taken), 3, leaves=int(random.integers(1, 14)), narrow=bool(random.integers(2)))
    categories = int(random.integers(2))
    if categories:
        held = ensemble(random, len(taken), 3, leaves=10, categories=min(2, len(taken)), width=2)
    held["threshold"] = random.choice([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0], len(held["threshold"]))
    return graph.add(Trees(inputs=taken, **held))


def _replace(random, graph, numbers):
    taken = _some(random, numbers, 4)
    old = math.nan if random.random() < 0.6 else _value(random)
    new = np.array([_value(random) if random.random() < 0.9 else math.nan for _ in taken])
    return graph.add(Replace(inputs=taken, old=old, new=new))


_MADE = {
    "apply": lambda random, graph, numbers, texts: graph.add(
        Apply(inputs=_some(random, numbers, 4), function=APPLIED[random.integers(len(APPLIED))])
    ),
    "arithmetic": lambda random, graph, numbers, texts: _arithmetic(random, graph, numbers),
    "combine": lambda random, graph, numbers, texts: _combine(random, graph, numbers),
    "constant": lambda random, graph, numbers, texts: graph.add(
        Constant(values=np.array([_value(random), _value(random)]))
    ),
    "distances": lambda random, graph, numbers, texts: graph.add(
        Distances(inputs=_one(random, numbers), points=np.array([[0.5], [2.0]]))
    ),
    "encode": lambda random, graph, numbers, texts: _encode_numbers(random, graph, numbers),
    "encode_text": lambda random, graph, numbers, texts: _encode_text(random, graph, texts),
    "fill": lambda random, graph, numbers, texts: _fill(random, graph, texts),
    "guard": lambda random, graph, numbers, texts: graph.add(
        Guard(inputs=_some(random, numbers, 3), rule=RULES[random.integers(len(RULES))])
    ),
    "link": lambda random, graph, numbers, texts: graph.add(
        Link(inputs=_some(random, numbers, 3), function=LINKS[random.integers(len(LINKS))])
    ),
    "median": lambda random, graph, numbers, texts: graph.add(
        Median(inputs=(*_one(random, numbers), *_one(random, numbers)), weights=np.array([0.4, 0.7]))
    ),
    "one_hot": lambda random, graph, numbers, texts: graph.add(
        OneHot(inputs=_one(random, numbers), codes=np.array([-1.0, 0.0, 1.0, 2.0]))
    ),
    "piecewise": lambda random, graph, numbers, texts: _piecewise(random, graph, numbers),
    "replace": lambda random, graph, numbers, texts: _replace(random, graph, numbers),
    "trees": lambda random, graph, numbers, texts: _trees(random, graph, numbers),
}


def domains(random):
    """Domains of some of the inputs; each leaves something."""
    found = {}
    for place, (_, text) in enumerate(INPUTS):
        if random.random() < 0.3:
            continue
        missing = bool(random.integers(2))
        pool = [*WORDS, "never seen"] if text else NUMBERS
        if text or random.random() < 0.5:
            values = [pool[i] for i in random.integers(0, len(pool), random.integers(0 if missing else 1, 4))]
            held = Domain(missing=missing, values=tuple(values))
        else:
            low, high = sorted(pool[i] for i in random.integers(0, len(pool), 2))
            held = Domain(missing=missing, low=-math.inf if random.random() < 0.3 else low, high=high)
        found[place] = held
    return found


def rows(random, held, count=120):
    """Columns of values that lie in the domains."""
    columns = []
    for place, (_, text) in enumerate(INPUTS):
        domain = held.get(place, Domain())
        pool = [*WORDS, "never seen"] if text else [*NUMBERS, *np.round(random.normal(size=9) * 2, 2).tolist()]
        if domain.values is not None:
            pool = list(domain.values)
            pool += [-value for value in pool if value == 0.0]
        elif not text:
            pool = [value for value in [*pool, domain.low, domain.high] if domain.low <= value <= domain.high]
        picked = [
            None if domain.missing and (not pool or random.random() < 0.15) else pool[random.integers(len(pool))]
            for _ in range(count)
        ]
        columns.append(
            pa.array(picked, pa.string()) if text else np.array([np.nan if v is None else v for v in picked], float)
        )
    return columns
