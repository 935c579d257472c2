"""Each kind of node as Java, over the columns that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from sqlml.programs.java_body import Body
from sqlml.programs.java_terms import NoJava, number
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Combine,
    Constant,
    Distances,
    Link,
    Median,
    Node,
    OneHot,
    Piecewise,
    Replace,
)

MOST_STEPS = 256
"""Products or sums of a node that are written one by one."""

_ARITHMETIC: Mapping[str, str] = {
    "add": "{x} + {k}",
    "subtract": "{x} - {k}",
    "multiply": "{x} * {k}",
    "divide": "{x} / {k}",
    "minimum": "Math.min({x}, {k})",
    "maximum": "Math.max({x}, {k})",
    "equal": "({x} == {k} ? 1.0 : 0.0)",
    "greater": "({x} > {k} ? 1.0 : 0.0)",
    "greater_equal": "({x} >= {k} ? 1.0 : 0.0)",
}

_APPLIED: Mapping[str, str] = {
    "abs": "Math.abs({x})",
    "cbrt": "Math.cbrt({x})",
    "cos": "Math.cos({x})",
    "exp": "Math.exp({x})",
    "expm1": "Math.expm1({x})",
    "float32": "(double) (float) {x}",
    "floor": "Math.floor({x})",
    "is_missing": "({x} != {x} ? 1.0 : 0.0)",
    "log": "Math.log({x})",
    "log10": "Math.log10({x})",
    "log1p": "Math.log1p({x})",
    "log2": "log2({x})",
    "negative": "-{x}",
    "not": "({x} == 0.0 ? 1.0 : 0.0)",
    "reciprocal": "1.0 / {x}",
    "relu": "Math.max({x}, 0.0)",
    "rint": "Math.rint({x})",
    "sigmoid": "1.0 / (1.0 + Math.exp(-{x}))",
    "sign": "Math.signum({x})",
    "sin": "Math.sin({x})",
    "sqrt": "Math.sqrt({x})",
    "square": "{x} * {x}",
    "tan": "Math.tan({x})",
    "tanh": "Math.tanh({x})",
    "trunc": "({x} < 0.0 ? Math.ceil({x}) : Math.floor({x}))",
}


def _arithmetic(body: Body, node: Arithmetic, place: int) -> None:
    written = _ARITHMETIC[node.op]
    body.each(place, node.inputs, lambda x, k: written.format(x=x, k=k), node.operand)


def _apply(body: Body, node: Apply, place: int) -> None:
    if node.function not in _APPLIED:
        raise NoJava(f"no function of Java is {node.function}")
    if node.function == "log2":
        body.help("log2")
    # -(-1.0) is a number, --1.0 is none.
    body.each(place, node.inputs, lambda x, _: _APPLIED[node.function].format(x=f"({x})" if x[0] == "-" else x))


def _constant(body: Body, node: Constant, place: int) -> None:
    for i, value in enumerate(node.values.tolist()):
        body.constant((place, i), value)


def _replace(body: Body, node: Replace, place: int) -> None:
    def written(x: str, new: str) -> str:
        return f"({x} != {x} ? {new} : {x})" if math.isnan(node.old) else f"({x} == {number(node.old)} ? {new} : {x})"

    body.each(place, node.inputs, written, node.new)


def _one_hot(body: Body, node: OneHot, place: int) -> None:
    x = body.columns[node.inputs[0]]
    if not body.wide or node.width < MOST_STEPS:
        for i, code in enumerate(node.codes.tolist()):
            body.put((place, i), f"({x} == {number(code)} ? 1.0 : 0.0)")
        return
    to = body.output(place, node.width).removeprefix("v, ")
    codes = body.constants.doubles(node.codes)
    body.say(f"for (int i = 0; i < {node.width}; i++) v[{to} + i] = {x} == {codes}[i] ? 1.0 : 0.0;")


_FOLDED: Mapping[str, str] = {
    "sum": "{a} + {b}",
    "mean": "{a} + {b}",
    "product": "{a} * {b}",
    "maximum": "Math.max({a}, {b})",
    "minimum": "Math.min({a}, {b})",
    "divide": "{a} / {b}",
    "power": "power({a}, {b})",
}


def _combine(body: Body, node: Combine, place: int) -> None:
    if node.op == "power":
        body.help("power")
    if node.op == "argmax":
        _argmax(body, node, place)
    elif node.groups.size > MOST_STEPS:
        _combined(body, node, place)
    else:
        for i, group in enumerate(node.groups.tolist()):
            texts = [body.columns[node.inputs[column]] for column in group]
            found = texts[0]
            for text in texts[1:]:
                found = _FOLDED[node.op].format(a=found, b=f"({text})")
            body.put((place, i), f"({found}) / {number(len(group))}" if node.op == "mean" else found)


def _argmax(body: Body, node: Combine, place: int) -> None:
    for i, group in enumerate(node.groups.tolist()):
        refs = [node.inputs[column] for column in group]
        if len(refs) == 2:
            a, b = (body.columns[ref] for ref in refs)
            body.put((place, i), f"({b} > {a} || ({b} != {b} && {a} == {a}) ? 1.0 : 0.0)")
        else:
            body.put((place, i), f"{body.help('argmax')}({body.array(refs)}, {len(refs)})")


def _combined(body: Body, node: Combine, place: int) -> None:
    """Many columns: a loop over where they are."""
    width, count = node.groups.shape
    name, groups = body.name("combined"), body.constants.ints(node.groups)
    end = f" / {number(count)}" if node.op == "mean" else ""
    body.method(
        name,
        f"""for (int j = 0; j < {width}; j++) {{
            double found = x[at + {groups}[j * {count}]];
            for (int i = 1; i < {count}; i++) {{
                double other = x[at + {groups}[j * {count} + i]];
                found = {_FOLDED[node.op].format(a="found", b="other")};
            }}
            y[to + j] = found{end};
        }}""",
    )
    body.say(f"{name}({body.array(node.inputs)}, {body.output(place, width)});")


def _median(body: Body, node: Median, place: int) -> None:
    """Sorted by insertion, NaN last and equal ones in order, as NumPy's stable sort has it."""
    count = len(node.inputs)
    name, weights = body.name("median"), body.constants.doubles(node.weights)
    body.method(
        name,
        f"""int[] order = new int[{count}];
        double whole = 0.0, reached = 0.0;
        for (int i = 0; i < {count}; i++) {{
            double one = x[at + i];
            int j = i;
            for (; j > 0; j--) {{
                double other = x[at + order[j - 1]];
                if (!(other > one || (other != other && one == one))) break;
                order[j] = order[j - 1];
            }}
            order[j] = i;
        }}
        for (int i = 0; i < {count}; i++) whole += {weights}[order[i]];
        int middle = 0;
        for (; middle < {count - 1}; middle++) {{
            reached += {weights}[order[middle]];
            if (reached >= 0.5 * whole) break;
        }}
        y[to] = x[at + order[middle]];""",
    )
    body.say(f"{name}({body.array(node.inputs)}, {body.output(place, 1)});")


def _piecewise(body: Body, node: Piecewise, place: int) -> None:
    _, width, powers = node.coefficients.shape
    name, held = body.name("piecewise"), body.constants
    edges, origins = held.doubles(node.edges), held.doubles(node.origins)
    coefficients = held.doubles(node.coefficients)
    body.method(
        name,
        f"""int piece = {body.help("place")}({edges}, x[at], {str(node.left).lower()});
        double offset = x[at] - {origins}[piece];
        for (int j = 0; j < {width}; j++) {{
            int from = (piece * {width} + j) * {powers};
            double found = {coefficients}[from + {powers - 1}];
            for (int p = {powers - 2}; p >= 0; p--) found = found * offset + {coefficients}[from + p];
            y[to + j] = x[at] != x[at] ? Double.NaN : found;
        }}""",
    )
    body.say(f"{name}({body.array(node.inputs)}, {body.output(place, width)});")


def _distances(body: Body, node: Distances, place: int) -> None:
    count = len(node.inputs)
    name, points = body.name("distances"), body.constants.doubles(node.points)
    body.method(
        name,
        f"""for (int j = 0; j < {node.width}; j++) {{
            double found = 0.0;
            for (int i = 0; i < {count}; i++) {{
                double gap = x[at + i] - {points}[j * {count} + i];
                found += gap * gap;
            }}
            y[to + j] = found;
        }}""",
    )
    body.say(f"{name}({body.array(node.inputs)}, {body.output(place, node.width)});")


def _link(body: Body, node: Link, place: int) -> None:
    count = len(node.inputs)
    name = body.name(node.function)
    if node.function == "softmax":
        text = f"""double most = x[at], total = 0.0;
        for (int i = 1; i < {count}; i++) most = Math.max(most, x[at + i]);
        for (int i = 0; i < {count}; i++) total += y[to + i] = Math.exp(x[at + i] - most);
        for (int i = 0; i < {count}; i++) y[to + i] /= total;"""
    else:
        text = f"""double total = 0.0;
        for (int i = 0; i < {count}; i++) total += x[at + i];
        for (int i = 0; i < {count}; i++) y[to + i] = total == 0.0 ? {number(1.0 / count)} : x[at + i] / total;"""
    body.method(name, text)
    body.say(f"{name}({body.array(node.inputs)}, {body.output(place, count)});")


PRINTED: Mapping[type[Node], Callable[..., None]] = {
    Apply: _apply,
    Arithmetic: _arithmetic,
    Combine: _combine,
    Constant: _constant,
    Distances: _distances,
    Link: _link,
    Median: _median,
    OneHot: _one_hot,
    Piecewise: _piecewise,
    Replace: _replace,
}
