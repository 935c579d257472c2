"""Ensembles of trees as Java: a loop over the trees, whose nodes lie in arrays."""

from __future__ import annotations

import numpy as np

from sqlml.programs.java_body import Body
from sqlml.programs.java_terms import NoJava
from sqlml.programs.program import Trees

MOST_MEMBER = 1 << 20
"""Sets are kept as bits up to their largest member."""


def trees(body: Body, node: Trees, place: int) -> None:
    """The sums of all outputs, by a method of its own."""
    name = body.name("trees")
    walk = _walk(body, node)
    summed = _one(body, node, walk) if node.width == 1 else _several(body, node, walk)
    body.method(name, _given(node) + summed)
    body.say(f"{name}({body.array(node.inputs)}, {body.output(place, node.width)});")


def _given(node: Trees) -> str:
    """The columns, as wide as they are compared."""
    if node.compare == "float64":
        return ""
    count = len(node.inputs)
    return f"""float[] z = new float[{count}];
    for (int i = 0; i < {count}; i++) z[i] = (float) x[at + i];
    """


def _walk(body: Body, node: Trees) -> str:
    """From a node `n` down to a leaf, ~n."""
    held = body.constants
    narrow = node.compare == "float32"
    features, thresholds = held.ints(node.feature), (held.floats if narrow else held.doubles)(node.threshold)
    # Both children beside each other: what is taken depends on the data, and a jump would be guessed wrong.
    children = held.ints(np.stack([node.left, node.right], axis=1))
    type_, x = ("float", f"z[{features}[n]]") if narrow else ("double", f"x[at + {features}[n]]")
    right = f"one <= {thresholds}[n] ? 0 : 1"
    if node.missing_left.any():
        # Where a missing value goes right, no test for it is needed: nothing is below NaN, nor NaN below anything.
        ways = held.ints(np.where(node.missing_left, 0, 1))
        right = f"one != one ? {ways}[n] : {right}"
    if (node.set_of >= 0).any():
        sets = held.ints(node.set_of)
        starts, bits = _bits(node)
        belongs = f"belongs({held.ints(starts)}, {held.longs(bits)}, {sets}[n], one)"
        right = f"{sets}[n] < 0 || one != one ? ({right}) : {belongs} ? 0 : 1"
        body.help("belongs")
    return f"""while (n >= 0) {{
            {type_} one = {x};
            n = {children}[2 * n + ({right})];
        }}"""


def _bits(node: Trees) -> tuple[list[int], list[int]]:
    """The sets as words of 64 bits, and where each begins."""
    starts, words = [0], list[int]()
    for first, end in zip(node.set_starts[:-1], node.set_starts[1:], strict=True):
        members = node.set_members[first:end]
        if len(members) and not 0 <= members.min() <= members.max() < MOST_MEMBER:
            raise NoJava(f"a set of categories from {members.min()} to {members.max()}")
        held = [0] * (int(members.max()) // 64 + 1 if len(members) else 0)
        for member in members.tolist():
            held[member // 64] |= 1 << member % 64
        words += held
        starts.append(len(words))
    return starts, [word - (1 << 64) if word >> 63 else word for word in words]


def _leaves(body: Body, node: Trees) -> str:
    held = body.constants
    return (held.floats if node.sum == "float32" else held.doubles)(node.leaves)


def _one(body: Body, node: Trees, walk: str) -> str:
    """A sum in a variable, for one output."""
    type_, leaves = ("float" if node.sum == "float32" else "double"), _leaves(body, node)
    base = f"{body.constants.doubles(node.base)}[0]"
    base = f"(float) {base}" if type_ == "float" else base
    begins, ends = (f"({type_}) 0.0", f"\n    found += {base};") if node.base_last else (base, "")
    return f"""{type_} found = {begins};
    for (int t = 0; t < {len(node.roots)}; t++) {{
        int n = {body.constants.ints(node.roots)}[t];
        {walk}
        found += {leaves}[~n];
    }}{ends}
    y[to] = {_divided("found", node, type_)};"""


def _several(body: Body, node: Trees, walk: str) -> str:
    """Sums in an array: a leaf goes to one of them, or to all."""
    type_, leaves, width = ("float" if node.sum == "float32" else "double"), _leaves(body, node), node.width
    base, own = body.constants.doubles(node.base), node.leaves.shape[1]
    add = f"for (int j = 0; j < {width}; j++) found[j] += ({type_}) {base}[j];"
    if own > 1:
        leaf = f"for (int j = 0; j < {width}; j++) found[j] += {leaves}[~n * {own} + j];"
    else:
        outputs = body.constants.ints(node.output_of)
        leaf = f"""int output = {outputs}[t];
        if (output >= 0) found[output] += {leaves}[~n];
        else for (int j = 0; j < {width}; j++) found[j] += {leaves}[~n];"""
    begins = "" if node.base_last else f"for (int j = 0; j < {width}; j++) found[j] = ({type_}) {base}[j];"
    return f"""{type_}[] found = new {type_}[{width}];
    {begins}
    for (int t = 0; t < {len(node.roots)}; t++) {{
        int n = {body.constants.ints(node.roots)}[t];
        {walk}
        {leaf}
    }}
    {add if node.base_last else ""}
    for (int j = 0; j < {width}; j++) y[to + j] = {_divided("found[j]", node, type_)};"""


def _divided(text: str, node: Trees, type_: str) -> str:
    return text if node.divisor == 1.0 else f"{text} / ({type_}) {node.divisor!r}"
