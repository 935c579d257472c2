"""The Program: a model as a small, typed, immutable graph of plain data over named inputs.

Every node takes columns of earlier nodes and gives columns of its own, all float64; NaN is a missing number. Text
comes from `Input` and `FillText` alone and goes to `Encode` alone; a missing text is NULL. Picking, reordering and
joining columns needs no node: whoever takes columns names them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Ref: TypeAlias = tuple[int, int]
"""A column: the place of its node in the program, and its place among that node's columns."""

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int32]
Booleans: TypeAlias = npt.NDArray[np.bool_]

Head = Literal["value", "label", "probabilities"]
"""What a program answers: numbers; the place of the predicted class; a probability for each class."""

HEADS: tuple[Head, ...] = ("value", "label", "probabilities")


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """One step. `inputs` are the columns it takes; it gives `width` columns."""

    kind: ClassVar[str]

    inputs: tuple[Ref, ...] = ()

    @property
    def width(self) -> int:
        """How many columns it gives."""
        return len(self.inputs)

    def parts(self) -> dict[str, Any]:
        """Its fields by name, without `inputs`."""
        return {held.name: getattr(self, held.name) for held in fields(self) if held.name != "inputs"}

    def detail(self) -> str:
        """Its fields, as the program prints them."""
        return ", ".join(_shown(name, value) for name, value in self.parts().items())


@dataclass(frozen=True, eq=False, kw_only=True)
class Input(Node):
    """An argument of the function: a number, or text."""

    kind = "input"

    name: str
    text: bool = False

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Constant(Node):
    """The same numbers in every row."""

    kind = "constant"

    values: Floats

    @property
    def width(self) -> int:
        return len(self.values)


ARITHMETIC = ("add", "subtract", "multiply", "divide", "minimum", "maximum", "equal", "greater", "greater_equal")


@dataclass(frozen=True, eq=False, kw_only=True)
class Arithmetic(Node):
    """Each column with a constant of its own, column op operand, in float64; comparisons give 1 or 0 (NaN: 0).

    `minimum` and `maximum` clip, and let NaN through.
    """

    kind = "arithmetic"

    op: str
    operand: Floats

    def __post_init__(self) -> None:
        assert self.op in ARITHMETIC
        assert len(self.operand) == len(self.inputs)


APPLIED = (
    "abs",
    "cbrt",
    "cos",
    "exp",
    "expm1",
    "float32",
    "floor",
    "is_missing",
    "log",
    "log10",
    "log1p",
    "log2",
    "negative",
    "normal_cdf",
    "not",
    "reciprocal",
    "relu",
    "rint",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Apply(Node):
    """A function of one number, for each column. `float32` rounds to it; `is_missing` and `not` give 1 or 0.

    `sigmoid` is 1 / (1 + exp(-x)), as scipy.special.expit; `normal_cdf` is scipy.special.ndtr.
    """

    kind = "apply"

    function: str

    def __post_init__(self) -> None:
        assert self.function in APPLIED


COMBINED = ("sum", "product", "maximum", "minimum", "argmax", "divide", "power", "mean")


@dataclass(frozen=True, eq=False, kw_only=True)
class Combine(Node):
    """Several columns become one, from left to right, for each group of places among `inputs`.

    `argmax` gives the place of the first largest within the group; `divide` and `power` take two columns; `mean` is
    the sum divided by the number of columns.
    """

    kind = "combine"

    op: str
    groups: Integers  # [width, columns in a group]

    def __post_init__(self) -> None:
        assert self.op in COMBINED
        assert self.groups.ndim == 2

    @property
    def width(self) -> int:
        return len(self.groups)


@dataclass(frozen=True, eq=False, kw_only=True)
class Median(Node):
    """The weighted median of the columns: the first, in order of value, at which half of the weight is reached.

    As AdaBoostRegressor takes it: the cumulative weight is at least half of the whole.
    """

    kind = "median"

    weights: Floats

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Replace(Node):
    """Another value, a column each, where a column is `old`; NaN stands for missing."""

    kind = "replace"

    old: float
    new: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class FillText(Node):
    """Columns of text, in which a missing value becomes a text: `texts` has one for each."""

    kind = "fill_text"

    texts: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Encode(Node):
    """A value becomes its number: `codes[i]` for `keys[i]`, of one column of text or numbers.

    `missing` and `unknown` are the numbers of a missing value and of one that is no key; None refuses the row, which
    the model itself then answers or raises for.
    """

    kind = "encode"

    keys: tuple[str, ...] | Floats
    codes: Floats
    missing: float | None
    unknown: float | None

    def __post_init__(self) -> None:
        assert len(self.inputs) == 1
        assert len(self.keys) == len(self.codes)


@dataclass(frozen=True, eq=False, kw_only=True)
class OneHot(Node):
    """Of one column: 1 where it equals `codes[j]`, else 0, for each j."""

    kind = "one_hot"

    codes: Floats

    @property
    def width(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Piecewise(Node):
    """Polynomials of one column between edges: with `i` edges at or below x, sum over p of c[i, j, p] (x - o[i])^p.

    `edges` are ascending; `origins` and `coefficients` have one row more. Horner's rule, from the highest power. A
    missing value stays missing. `left` counts the edges strictly below x instead.
    """

    kind = "piecewise"

    edges: Floats
    origins: Floats  # [edges + 1]
    coefficients: Floats  # [edges + 1, width, powers]
    left: bool = False

    @property
    def width(self) -> int:
        return int(self.coefficients.shape[1])


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Node):
    """Weighted sums of the columns: x @ weights + bias, with weights of the shape [inputs, width]."""

    kind = "linear"

    weights: Floats
    bias: Floats

    def __post_init__(self) -> None:
        assert self.weights.shape == (len(self.inputs), len(self.bias))

    @property
    def width(self) -> int:
        return len(self.bias)


@dataclass(frozen=True, eq=False, kw_only=True)
class Distances(Node):
    """Squared Euclidean distances from the row to points: sum over columns of (x - p)^2, points [width, inputs]."""

    kind = "distances"

    points: Floats

    @property
    def width(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False, kw_only=True)
class Trees(Node):
    """An ensemble of trees, whose leaves are added up in the order of the trees.

    A node sends a row left where its column <= threshold; where it is missing, as `missing_left` says. A node with a
    set (`set_of` >= 0) sends it left where the column, cut to an integer, is a member. `left` and `right` are a
    node's place, or ~leaf where negative; so are `roots`.

    A leaf has one value, which goes to the output that `output_of` its tree says, or one for every output.
    `compare` says how wide the columns are compared (thresholds are then exact in it), `sum` how wide sums are kept.
    The sum begins with `base` (or ends with it: `base_last`), and is divided by `divisor` in the end.
    """

    kind = "trees"

    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    missing_left: Booleans
    set_of: Integers
    set_starts: Integers  # [sets + 1], into set_members
    set_members: Integers
    roots: Integers
    leaves: Floats  # [leaves, 1 or outputs]
    output_of: Integers  # [trees]
    base: Floats  # [outputs]
    base_last: bool = False
    divisor: float = 1.0
    compare: Literal["float32", "float64"] = "float64"
    sum: Literal["float32", "float64"] = "float64"

    @property
    def width(self) -> int:
        return len(self.base)

    def detail(self) -> str:
        return (
            f"{len(self.roots)} trees, {len(self.feature)} splits, {len(self.leaves)} leaves, "
            f"compared as {self.compare}, added as {self.sum}"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Screened(Trees):
    """An ensemble of one output, whose last input is a bound: no tree splits on it.

    The sum, as `Trees` gives it; but where it is certainly below the bound of its row, and `below` is set, -inf may
    stand instead, and where it is certainly above, and `above` is set, inf. Of a missing bound nothing is certain.
    Certain is what lies further off than 1e-9 of the bound (of 1, where that is larger), and than another order of
    adding up could move it.
    """

    kind = "screened"

    below: bool
    above: bool

    def __post_init__(self) -> None:
        assert self.width == 1
        assert self.leaves.shape[1] == 1


LINKS = ("softmax", "normalize")


@dataclass(frozen=True, eq=False, kw_only=True)
class Link(Node):
    """All columns together.

    `softmax` is exp(x - max) over its sum; `normalize` is x over its sum, and 1/n each where that is 0.
    """

    kind = "link"

    function: str

    def __post_init__(self) -> None:
        assert self.function in LINKS


RULES = ("finite", "finite_or_missing", "float32_or_missing", "float32")


@dataclass(frozen=True, eq=False, kw_only=True)
class Guard(Node):
    """Columns as they are; a row that breaks the rule is refused, and the model itself answers it or raises.

    `float32` refuses what is infinite once rounded to it.
    """

    kind = "guard"

    rule: str

    def __post_init__(self) -> None:
        assert self.rule in RULES


NODES: Mapping[str, type[Node]] = {
    node.kind: node
    for node in (
        Input,
        Constant,
        Arithmetic,
        Apply,
        Combine,
        Median,
        Replace,
        FillText,
        Encode,
        OneHot,
        Piecewise,
        Linear,
        Distances,
        Trees,
        Screened,
        Link,
        Guard,
    )
}


@dataclass(frozen=True, eq=False)
class Program:
    """A model version as data. The first nodes are the inputs, in signature order; `heads` name what it answers.

    Example:
        >>> graph = Builder([("x", False)])
        >>> doubled = graph.add(Arithmetic(inputs=graph.input("x"), op="multiply", operand=np.array([2.0])))
        >>> print(graph.program({"value": doubled}))
        %0 = input(name='x', text=False)
        %1 = arithmetic(%0; op='multiply', operand=[2.0])
        value: %1
    """

    nodes: tuple[Node, ...]
    heads: Mapping[str, tuple[Ref, ...]] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The arguments it was made for, used or not."""
        return tuple(node for node in self.nodes if isinstance(node, Input))

    @cached_property
    def used(self) -> tuple[int, ...]:
        """The places of the inputs that its heads depend on."""
        needed = {node for node, _ in reached(self.nodes, self.heads)}
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node, Input) and i in needed)

    @cached_property
    def digest(self) -> str:
        """A sha256 of everything it holds: equal for equal programs, on every machine."""
        text, arrays = parts(self)
        held = hashlib.sha256(text.encode())
        for array in arrays:
            held.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        return held.hexdigest()

    def __str__(self) -> str:
        lines = [f"%{i} = {node.kind}({_call(self.nodes, node)})" for i, node in enumerate(self.nodes)]
        return "\n".join([*lines, *(f"{name}: {_refs(self.nodes, refs)}" for name, refs in self.heads.items())])

    def __repr__(self) -> str:
        return f"<Program of {len(self.nodes)} nodes: {', '.join(self.heads)}>"


class Builder:
    """Puts a program together, node by node."""

    def __init__(self, inputs: Sequence[tuple[str, bool]]) -> None:
        self.nodes: list[Node] = [Input(name=name, text=text) for name, text in inputs]
        self._places = {name: i for i, (name, _) in enumerate(inputs)}

    def input(self, name: str) -> tuple[Ref, ...]:
        """The column of an argument."""
        return ((self._places[name], 0),)

    def is_text(self, ref: Ref) -> bool:
        """Whether a column holds text: an argument, or one whose missing values were filled."""
        node = self.nodes[ref[0]]
        return isinstance(node, FillText) or (isinstance(node, Input) and node.text)

    def add(self, node: Node) -> tuple[Ref, ...]:
        """Append a node; gives its columns."""
        self.nodes.append(node)
        place = len(self.nodes) - 1
        return tuple((place, column) for column in range(node.width))

    def program(self, heads: Mapping[Head, tuple[Ref, ...]]) -> Program:
        """The program that answers these."""
        return Program(tuple(self.nodes), {str(name): refs for name, refs in heads.items()})


def reached(nodes: Sequence[Node], heads: Mapping[str, tuple[Ref, ...]]) -> Iterator[Ref]:
    """Each column that the heads depend on, once, the last first: a node's columns all count where one does."""
    wanted: list[set[int]] = [set() for _ in nodes]
    for refs in heads.values():
        for node, column in refs:
            wanted[node].add(column)
    for place in range(len(nodes) - 1, -1, -1):
        if wanted[place]:
            for node, column in nodes[place].inputs:
                wanted[node].add(column)
            yield from ((place, column) for column in sorted(wanted[place]))


def may_refuse(program: Program) -> bool:
    """Whether there may be a row that the program leaves to the model itself."""
    return any(
        isinstance(node, Guard) or (isinstance(node, Encode) and (node.missing is None or node.unknown is None))
        for node in program.nodes
    )


def parts(program: Program) -> tuple[str, list[npt.NDArray[Any]]]:
    """A program as JSON text and the arrays it points into."""
    arrays: list[npt.NDArray[Any]] = []

    def held(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1, "dtype": value.dtype.str.lstrip("<>=|"), "shape": list(value.shape)}
        if isinstance(value, float | np.floating):
            # JSON has no NaN and no infinity.
            return {"float": float(value).hex()}
        if isinstance(value, tuple):
            return {"texts": list(value)}
        return value

    nodes = []
    for node in program.nodes:
        inputs = held(np.array(node.inputs, np.int32).reshape(-1, 2))
        nodes.append([node.kind, inputs, {name: held(value) for name, value in node.parts().items()}])
    heads = {name: [list(ref) for ref in refs] for name, refs in program.heads.items()}
    return json.dumps({"format": 1, "nodes": nodes, "heads": heads}), arrays


def from_parts(text: str, arrays: Sequence[npt.NDArray[Any]]) -> Program:
    """What `parts` took apart. Raises ValueError where the data is no program."""
    data = json.loads(text)
    if data.get("format") != 1:
        raise ValueError(f"format {data.get('format')!r} is unknown")

    def value(held: Any) -> Any:
        if not isinstance(held, dict):
            return held
        if "array" in held:
            return arrays[held["array"]]
        return float.fromhex(held["float"]) if "float" in held else tuple(held["texts"])

    nodes = []
    for kind, inputs, given in data["nodes"]:
        refs = tuple((int(node), int(column)) for node, column in value(inputs))
        nodes.append(NODES[kind](inputs=refs, **{name: value(one) for name, one in given.items()}))
    heads = {name: tuple((int(node), int(column)) for node, column in refs) for name, refs in data["heads"].items()}
    return Program(tuple(nodes), heads)


def renumbered(node: Node, inputs: Sequence[Ref]) -> Node:
    """The node, over other columns."""
    return replace(node, inputs=tuple(inputs))


def _call(nodes: Sequence[Node], node: Node) -> str:
    given = _refs(nodes, node.inputs)
    return "; ".join(filter(None, [given, node.detail()]))


def _refs(nodes: Sequence[Node], refs: Sequence[Ref]) -> str:
    """Columns as text: `%3` is the only column of node 3, `%4.0-7` some of node 4."""
    shown: list[str] = []
    start = 0
    while start < len(refs):
        end = start
        while end + 1 < len(refs) and refs[end + 1] == (refs[start][0], refs[end][1] + 1):
            end += 1
        node, first = refs[start]
        last = refs[end][1]
        alone = nodes[node].width == 1
        shown.append(f"%{node}" if alone else f"%{node}.{first}" + (f"-{last}" if last > first else ""))
        start = end + 1
    return ", ".join(shown) if len(shown) <= 40 else ", ".join([*shown[:40], f"and {len(shown) - 40} more"])


def _shown(name: str, value: Any) -> str:
    if isinstance(value, np.ndarray):
        text = str(value.tolist()) if value.size <= 8 else f"{value.dtype}{list(value.shape)}"
    elif isinstance(value, tuple):
        text = f"{list(value[:4])}" if len(value) <= 4 else f"{list(value[:4])} and {len(value) - 4} more"
    else:
        text = repr(value)
    return f"{name}={text}"
