"""The columns of a program as Java, node by node, and what keeps a row from an answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sqlml.programs.evaluate import evaluate_node
from sqlml.programs.java_body import Body
from sqlml.programs.java_nodes import MOST_STEPS, PRINTED
from sqlml.programs.java_terms import NoJava, number, string
from sqlml.programs.java_trees import trees
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Encode,
    FillText,
    Floats,
    Guard,
    Input,
    Linear,
    OneHot,
    Program,
    Ref,
    Replace,
    Trees,
)
from sqlml.programs.simplify import narrowed

_LARGEST = float(np.finfo(np.float32).max)
_KEEPS = {
    "finite": "Math.abs({x}) <= Double.MAX_VALUE",
    "finite_or_missing": "Math.abs({x}) != Double.POSITIVE_INFINITY",
    # What still rounds to the largest float32: half a unit of its last place above it.
    "float32": f"Math.abs({{x}}) < {number(_LARGEST + 2.0**103)}",
    "float32_or_missing": f"!(Math.abs({{x}}) >= {number(_LARGEST + 2.0**103)})",
}
_BREAKS = {
    "finite": "is infinite or missing",
    "finite_or_missing": "is infinite",
    "float32": "is too large for float32",
    "float32_or_missing": "is too large for float32",
}


class Printer:
    """Prints what some columns depend on. `given` is an expression for each input, a double or a UTF8String."""

    def __init__(self, program: Program, refs: Sequence[Ref], given: Sequence[str], body: Body) -> None:
        self.program, self.body = program, body
        self._nodes, self._refs, self._given = program.nodes, refs, given
        self._by_key: dict[Ref, tuple[int, Floats] | None] = {}

    def print(self) -> None:
        """Say all statements; the columns are then in `body.columns`."""
        taken, keyed = self._needed()
        for place, node in enumerate(self._nodes):
            if isinstance(node, Input):
                self._input(node, place)
            elif place not in taken and place not in keyed:
                continue
            elif isinstance(node, Encode):
                self._encode(node, place, as_number=place in taken)
            elif isinstance(node, FillText):
                self._fill(node, place)
            elif isinstance(node, Guard):
                self._guard(node, place)
            elif isinstance(node, Linear):
                self._linear(node, place)
            elif isinstance(node, Trees):
                trees(self.body, node, place)
            elif type(node) in PRINTED:
                PRINTED[type(node)](self.body, node, place)
            else:
                raise NoJava(f"a {node.kind.replace('_', ' ')}")

    def _needed(self) -> tuple[set[int], set[int]]:
        """The nodes whose columns are taken, and those of which it is enough to know a row's key."""
        taken, keyed = {place for place, _ in self._refs}, set[int]()
        for place in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[place]
            if place not in taken and place not in keyed:
                continue
            for i, ref in enumerate(node.inputs):
                key = self._summed_key(node, i) if isinstance(node, Linear) else None
                if key is None:
                    taken.add(ref[0])
                else:
                    keyed.add(key[0])
        return taken, keyed

    def _input(self, node: Input, place: int) -> None:
        if node.text or not self.body.wide:
            self.body.columns[place, 0] = self._given[place]
        else:
            self.body.given((place, 0))

    def _fill(self, node: FillText, place: int) -> None:
        texts = self.body.constants.texts(node.texts)
        for i, ref in enumerate(node.inputs):
            x = self.body.columns[ref]
            self.body.columns[place, i] = f"({x} == null ? {texts}[{i}] : {x})"

    # Categories

    def _encode(self, node: Encode, place: int, *, as_number: bool) -> None:
        """Which key a row has; missing ones are one behind the last, unknown ones two."""
        body, x, count = self.body, self.body.columns[node.inputs[0]], len(_codes(node)) - 2
        missing = f"{x} == null" if isinstance(node.keys, tuple) else f"{x} != {x}"
        if isinstance(node.keys, tuple):
            table = body.table(node.keys)
            found = f"{body.help('lookup')}({table}, {x}, {count + 1})"
        else:
            body.help("place")
            found = f"{body.help('find')}({body.constants.doubles(_numbers(node)[0])}, {x}, {count + 1})"
        name = self._name(node.inputs[0])
        if node.missing is None:
            why = string(f"The argument '{name}' is missing, which the model refuses")
            body.say(f"if ({missing}) throw {body.help('refused')}({why});")
        body.index(place, f"{missing} ? {count} : {found}")
        if node.unknown is None:
            why = f"{string(f'The argument {chr(39)}{name}{chr(39)} is ' + chr(39))} + {x} + "
            why += string("', which the model never saw")
            body.say(f"if ({body.indices[place]} == {count + 1}) throw {body.help('refused')}({why});")
        if as_number:
            body.put((place, 0), f"{body.constants.doubles(_codes(node))}[{body.indices[place]}]")

    def _key(self, ref: Ref) -> tuple[int, Floats] | None:
        """The Encode that alone decides a column, and the column's value for each of its keys."""
        if ref not in self._by_key:
            self._by_key[ref] = self._made_key(ref)
        return self._by_key[ref]

    def _made_key(self, ref: Ref) -> tuple[int, Floats] | None:
        node = self._nodes[ref[0]]
        if isinstance(node, Encode):
            return ref[0], _codes(node)
        if not isinstance(node, Apply | Arithmetic | OneHot | Replace):
            return None
        narrow, (place,) = narrowed(node, [ref[1]])
        source = self._key(node.inputs[place])
        if source is None:
            return None
        return source[0], evaluate_node(narrow, source[1][:, None])[:, 0]

    def _summed_key(self, node: Linear, i: int) -> tuple[int, Floats] | None:
        """The same of a column that goes into a sum, where its product with the weights is a number for every key."""
        key = self._key(node.inputs[i])
        if key is None or not np.isfinite(node.weights[i]).all() or not np.isfinite(key[1]).all():
            return None
        return key

    # Weighted sums

    def _linear(self, node: Linear, place: int) -> None:
        """Categories by a table of what each adds, the other columns by their weights."""
        tables: dict[int, Floats] = {}
        plain: list[int] = []
        for i, weights in enumerate(node.weights):
            key = self._summed_key(node, i)
            if key is None:
                plain.append(i)
            else:
                found = tables.setdefault(key[0], np.zeros((len(key[1]), node.width)))
                rows = np.flatnonzero(key[1])
                found[rows] += key[1][rows, None] * weights
        if node.width * (len(plain) + len(tables)) > MOST_STEPS:
            self._weighed(node, place, plain, tables)
            return
        body = self.body
        for j in range(node.width):
            texts = [f"{body.columns[node.inputs[i]]} * {number(float(node.weights[i, j]))}" for i in plain]
            texts += [
                f"{body.constants.doubles(table[:, j])}[{body.indices[source]}]" for source, table in tables.items()
            ]
            body.put((place, j), " + ".join([*texts, number(float(node.bias[j]))]))

    def _weighed(self, node: Linear, place: int, plain: Sequence[int], tables: dict[int, Floats]) -> None:
        """Loops over the weights: by column, so that the sums of several outputs are added up side by side."""
        body, width, held = self.body, node.width, self.body.constants
        name, weights, bias = body.name("linear"), held.doubles(node.weights[plain]), held.doubles(node.bias)
        looked_up = f"new int[] {{{', '.join(body.indices[source] for source in tables)}}}"
        parts = [f"double[] sums = new double[{width}];"]
        if width == 1:
            parts.append(f"double sum = 0.0; for (int i = 0; i < {len(plain)}; i++) sum += x[at + i] * {weights}[i];")
            parts.append("sums[0] = sum;")
        else:
            parts.append(
                f"""for (int i = 0; i < {len(plain)}; i++) {{
                    double one = x[at + i];
                    int from = i * {width};
                    for (int j = 0; j < {width}; j++) sums[j] += one * {weights}[from + j];
                }}"""
            )
        for i, table in enumerate(tables.values()):
            parts.append(
                f"{{ int from = keys[{i}] * {width}; "
                f"for (int j = 0; j < {width}; j++) sums[j] += {held.doubles(table)}[from + j]; }}"
            )
        parts.append(f"for (int j = 0; j < {width}; j++) y[to + j] = sums[j] + {bias}[j];")
        text = "\n".join(parts)
        taken = "int[] keys, double[] x, int at, double[] y, int to"
        body.methods.append(f"private static void {name}({taken}) {{\n{text}\n}}")
        given = body.array([node.inputs[i] for i in plain])
        body.say(f"{name}({looked_up}, {given}, {body.output(place, width)});")

    # What the model refuses

    def _guard(self, node: Guard, place: int) -> None:
        body = self.body
        for i, ref in enumerate(node.inputs):
            why = string(f"The argument '{self._name(ref)}' {_BREAKS[node.rule]}")
            kept = _KEEPS[node.rule].format(x=body.columns[ref])
            body.say(f"if (!({kept})) throw {body.help('refused')}({why});")
            body.same((place, i), ref)

    def _name(self, ref: Ref) -> str:
        """The first argument that a column is made of."""
        node = self._nodes[ref[0]]
        while not isinstance(node, Input) and node.inputs:
            node = self._nodes[node.inputs[min(ref[1], len(node.inputs) - 1)][0]]
        return node.name if isinstance(node, Input) else ""


def _numbers(node: Encode) -> tuple[Floats, Floats]:
    """Keys in ascending order with their codes, the first of equal ones; no number equals NaN."""
    keys = np.asarray(node.keys, np.float64)
    order = np.argsort(keys)
    order = order[~np.isnan(keys[order])]
    return keys[order], node.codes[order]


def _codes(node: Encode) -> Floats:
    """The code of each key, of a missing value and of an unknown one; 0 for what is refused before it is looked up."""
    codes = node.codes if isinstance(node.keys, tuple) else _numbers(node)[1]
    ends = [0.0 if code is None else code for code in (node.missing, node.unknown)]
    return np.concatenate([codes, ends])
