"""Ensembles of trees as Java: loops over nodes that lie in arrays, several trees side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.programs.certain import RELATIVE, decidable, leaf_ends, slack
from sqlml.programs.java_body import Body
from sqlml.programs.java_terms import NoJava, number
from sqlml.programs.program import Screened, Trees

MOST_MEMBER = 1 << 20
"""Sets are kept as bits up to their largest member."""

_BESIDE = "abcd"
"""Trees that are walked at once: a step waits for the step before it, and not for another tree's."""


def trees(body: Body, node: Trees, place: int) -> None:
    """The sums of all outputs, by a method of its own."""
    name = body.name("trees")
    body.method(name, _given(node) + (_one if node.width == 1 else _several)(body, node, _laid_out(node)))
    body.say(f"{name}({body.array(node.inputs)}, {body.output(place, node.width)});")


def _given(node: Trees) -> str:
    """The columns, as wide as they are compared."""
    if node.compare == "float64":
        return ""
    count = len(node.inputs)
    return f"""float[] z = new float[{count}];
    for (int i = 0; i < {count}; i++) z[i] = (float) x[at + i];
    """


@dataclass(frozen=True)
class _Layout:
    """Nodes level by level, the roots first, siblings beside each other; a leaf is a node that leads to itself.

    The right child is one behind the left one. `old` is a node's place in the ensemble, or ~leaf.
    """

    old: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    depths: npt.NDArray[np.int64]
    """Of each tree."""

    def of(self, values: npt.NDArray[Any], leaf: Any) -> npt.NDArray[Any]:
        """What each node has, and a leaf instead."""
        return np.append(values, leaf)[np.where(self.old >= 0, self.old, -1)]


def _laid_out(node: Trees) -> _Layout:
    old, tree = node.roots.astype(np.int64), np.arange(len(node.roots))
    levels, lefts, depths, first = [], [], np.zeros(len(node.roots), np.int64), 0
    while len(old):
        inner = old >= 0
        # From one before itself a leaf goes right.
        left = first - 1 + np.arange(len(old))
        first += len(old)
        left[inner] = first + 2 * np.arange(inner.sum())
        depths[tree[inner]] += 1
        levels.append(old)
        lefts.append(left)
        here = old[inner]
        old = np.stack([node.left[here], node.right[here]], axis=1).ravel().astype(np.int64)
        tree = np.repeat(tree[inner], 2)
    if not levels:
        return _Layout(np.zeros(0, np.int64), np.zeros(0, np.int64), depths)
    return _Layout(np.concatenate(levels), np.concatenate(lefts), depths)


def _walks(body: Body, node: Trees, held: _Layout, add: str, stop: str = "") -> str:
    """All trees in order: `add` is done with the node `n` of each one's leaf, `stop` after those side by side."""
    keeps = body.constants
    narrow = node.compare == "float32"
    nodes = keeps.ints(np.stack([held.of(node.feature, 0), held.left], axis=1))
    thresholds = (keeps.floats if narrow else keeps.doubles)(held.of(node.threshold, np.nan))
    x = "z[" if narrow else "x[at + "
    # Nothing is below NaN, nor NaN below anything: a missing value goes right.
    step = f"{{n}} = {nodes}[2 * {{n}} + 1] + ({x}{nodes}[2 * {{n}}]] <= {thresholds}[{{n}}] ? 0 : 1);"
    fast = _beside(body, held, step, add, stop)
    if not node.missing_left.any() and not (node.set_of >= 0).any():
        return fast
    slow = f"""for (int t = 0; t < {len(node.roots)}; t++) {{
        int n = t;
        while ({keeps.ints(np.where(held.old < 0, 0, 1))}[n] > 0) {{
            {"float" if narrow else "double"} one = {x}{nodes}[2 * n]];
            n = {nodes}[2 * n + 1] + ({_right(body, node, held, thresholds)});
        }}
        {add}
    }}"""
    if (node.set_of >= 0).any():
        return slow
    count = len(node.inputs)
    missing = f"{'z[i]' if narrow else 'x[at + i]'}"
    return f"""boolean whole = true;
    for (int i = 0; i < {count}; i++) whole &= {missing} == {missing};
    if (whole) {{
        {fast}
    }} else {{
        {slow}
    }}"""


def _beside(body: Body, held: _Layout, step: str, add: str, stop: str) -> str:
    """Several trees at once, as deep as the deepest of them."""
    count, beside = len(held.depths), len(_BESIDE)
    whole = count - count % beside
    deepest = body.constants.ints(held.depths[:whole].reshape(-1, beside).max(axis=1))
    starts = ", ".join(f"{n} = t + {i}" for i, n in enumerate(_BESIDE))
    steps = "\n".join(step.format(n=n) for n in _BESIDE)
    adds = "\n".join(f"n = {n};\n{add}" for n in _BESIDE)
    rest = body.constants.ints(held.depths)
    return f"""int n;
    for (int t = 0; t < {whole}; t += {beside}) {{
        int {starts};
        for (int more = {deepest}[t / {beside}]; more > 0; more--) {{
            {steps}
        }}
        {adds}
        {stop}
    }}
    for (int t = {whole}; t < {count}; t++) {{
        n = t;
        for (int more = {rest}[t]; more > 0; more--) {{
            {step.format(n="n")}
        }}
        {add}
    }}"""


def _right(body: Body, node: Trees, held: _Layout, thresholds: str) -> str:
    """1 where the value `one` goes right, missing ones and members of sets too."""
    keeps = body.constants
    right = f"one <= {thresholds}[n] ? 0 : 1"
    if node.missing_left.any():
        ways = keeps.ints(held.of(np.where(node.missing_left, 0, 1), 1))
        right = f"one != one ? {ways}[n] : {right}"
    if (node.set_of >= 0).any():
        sets = keeps.ints(held.of(node.set_of, -1))
        starts, bits = _bits(node)
        belongs = f"{body.help('belongs')}({keeps.ints(starts)}, {keeps.longs(bits)}, {sets}[n], one)"
        right = f"{sets}[n] < 0 || one != one ? ({right}) : {belongs} ? 0 : 1"
    return right


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


def _leaves(body: Body, node: Trees, held: _Layout) -> tuple[str, str]:
    """The fields of the leaves' values and of the leaf that a node is."""
    values = (body.constants.floats if node.sum == "float32" else body.constants.doubles)(node.leaves)
    return values, body.constants.ints(np.where(held.old < 0, ~held.old, 0))


def _one(body: Body, node: Trees, held: _Layout) -> str:
    """A sum in a variable, for one output."""
    type_ = "float" if node.sum == "float32" else "double"
    values, leaf = _leaves(body, node, held)
    base = f"({type_}) {body.constants.doubles(node.base)}[0]"
    begins, ends = (f"({type_}) 0.0", f"found += {base};") if node.base_last else (base, "")
    limits, stop = _screen(body, node) if isinstance(node, Screened) and decidable(node) else ("", "")
    return f"""{type_} found = {begins};
    {limits}
    {_walks(body, node, held, f"found += {values}[{leaf}[n]];", stop)}
    {ends}
    y[to] = {_divided("found", node, type_)};"""


def _screen(body: Body, node: Screened) -> tuple[str, str]:
    """What comes before the trees of a screened ensemble, and what ends them where the rest can't change the answer.

    Only rows with all their columns are stopped: others are few, and walked another way.
    """
    lowest, highest = leaf_ends(node)
    near = number(slack(node, lowest, highest))
    late = float(node.base[0]) if node.base_last else 0.0
    # What comes after the first tree, after the first two, and so on.
    most = [late + float(highest[tree + 1 :].sum()) for tree in range(len(highest))]
    least = [late + float(lowest[tree + 1 :].sum()) for tree in range(len(lowest))]
    stops = []
    if node.below:
        rest = f"{body.constants.doubles(most)}[t + {len(_BESIDE) - 1}]"
        stops.append(f"if (found + {rest} < limit - near) {{ y[to] = Double.NEGATIVE_INFINITY; return; }}")
    if node.above:
        rest = f"{body.constants.doubles(least)}[t + {len(_BESIDE) - 1}]"
        stops.append(f"if (found + {rest} > limit + near) {{ y[to] = Double.POSITIVE_INFINITY; return; }}")
    divisor = number(node.divisor)
    limits = f"""double bound = x[at + {len(node.inputs) - 1}], limit = bound * {divisor};
    double near = {near} + {number(RELATIVE)} * Math.max(1.0, Math.abs(bound)) * {divisor};"""
    return limits, "\n".join(stops)


def _several(body: Body, node: Trees, held: _Layout) -> str:
    """Sums in an array: a leaf goes to one of them, or to all."""
    type_, width, own = ("float" if node.sum == "float32" else "double"), node.width, node.leaves.shape[1]
    values, leaf = _leaves(body, node, held)
    base = f"({type_}) {body.constants.doubles(node.base)}[j]"
    every = f"for (int j = 0; j < {width}; j++)"
    if own > 1:
        add = f"{every} found[j] += {values}[{leaf}[n] * {own} + j];"
    else:
        # The roots are the first nodes; a node of a later level belongs to the same tree.
        outputs = body.constants.ints(_of_trees(node, held))
        add = f"if ({outputs}[n] >= 0) found[{outputs}[n]] += {values}[{leaf}[n]]; "
        add += f"else {every} found[j] += {values}[{leaf}[n]];"
    begins, ends = ("", f"{every} found[j] += {base};") if node.base_last else (f"{every} found[j] = {base};", "")
    return f"""{type_}[] found = new {type_}[{width}];
    {begins}
    {_walks(body, node, held, add)}
    {ends}
    {every} y[to + j] = {_divided("found[j]", node, type_)};"""


def _of_trees(node: Trees, held: _Layout) -> npt.NDArray[np.int32]:
    """The output of the tree that each node is in."""
    found = np.zeros(len(held.old), np.int32)
    found[: len(node.roots)] = node.output_of
    for place in np.flatnonzero(held.old >= 0):
        found[held.left[place] : held.left[place] + 2] = found[place]
    return found


def _divided(text: str, node: Trees, type_: str) -> str:
    return text if node.divisor == 1.0 else f"{text} / ({type_}) {node.divisor!r}"
