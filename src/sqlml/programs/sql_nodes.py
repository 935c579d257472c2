"""Each kind of node as SQL text, over the terms of the columns that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Combine,
    Constant,
    Distances,
    Guard,
    Linear,
    Link,
    Node,
    OneHot,
    Piecewise,
    Replace,
    Trees,
)
from sqlml.programs.sql_terms import (
    INFINITY,
    NAN,
    NoSql,
    Term,
    Writer,
    above,
    added,
    case,
    constant,
    flag,
    missing,
    number,
    whole,
)

MOST_PIECES = 16
MOST_PRODUCTS = 256
MOST_SPLITS = 512

_LARGEST = float(np.finfo(np.float32).max)
# The smallest number that rounds to no float32 but infinity.
FLOAT32_END = _LARGEST + 2.0**103


def arithmetic(node: Arithmetic, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """A column op its constant."""
    x, operand, op = given[column], float(node.operand[column]), node.op
    if op == "equal":
        return flag(None if math.isnan(operand) else f"({x.text} = {number(operand)})")
    if op in ("greater", "greater_equal"):
        return flag(above(x, operand, or_equal=op == "greater_equal"))
    if op in ("minimum", "maximum"):
        return clipped(x, operand, op)
    sign = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}[op]
    spoils = not math.isfinite(operand) or (operand == 0.0 and op in ("multiply", "divide"))
    text = f"({x.text} {sign} {number(operand)})"
    if op == "divide":
        text = writer.divided(x.text, number(operand), zero=operand == 0.0)
    return Term(text, null=x.null, nan=x.nan or spoils)


def clipped(x: Term, bound: float, op: str) -> Term:
    """The smaller or larger of a term and a bound, where missing stays missing."""
    if math.isnan(bound):
        return constant(bound)
    if not x.missing:
        name = "least" if op == "minimum" else "greatest"
        return Term(f"{name}({x.text}, {number(bound)})", infinite=x.infinite)
    test = above(x, bound) if op == "minimum" else f"{x.text} < {number(bound)}"
    assert test is not None
    return replace(x, text=case([(test, number(bound))], x.text))


def apply(node: Apply, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """A function of a column."""
    x = given[column]
    if node.function == "is_missing":
        return flag(missing(x) if x.missing else None)
    if node.function == "not":
        return flag(f"({x.text} = 0e0)")
    if node.function == "relu":
        return clipped(x, 0.0, "maximum")
    if node.function == "float32":
        return rounded(x)
    if node.function not in _APPLIED:
        raise NoSql(f"no function of SQL is {node.function}")
    bounded = node.function in ("sigmoid", "tanh", "sign")
    harmless = bounded or node.function in ("abs", "cbrt", "exp", "floor", "negative", "rint", "square", "trunc")
    return Term(_APPLIED[node.function](x.text, writer), x.null, x.nan or not harmless, infinite=not bounded)


def rounded(x: Term) -> Term:
    """A number rounded to float32, where DuckDB's cast fails beyond the largest one."""
    text = f"CAST(CAST({x.text} AS FLOAT) AS DOUBLE)"
    end = f"{number(FLOAT32_END)}"
    branches = [
        (f"{x.text} >= {end} AND {x.text} <= {INFINITY}", INFINITY),
        (f"{x.text} <= (-{end})", f"(-{INFINITY})"),
    ]
    return replace(x, text=case(branches, text), infinite=True, test=None, position=None)


def _log1p(x: str, writer: Writer) -> str:
    # Kahan's: what 1 + x loses, the quotient gives back.
    u = f"(1e0 + {x})"
    log = writer.logarithm("ln", u)
    if writer.dialect == "spark":
        branches = [(f"{x} > (-1e0)", f"log1p({x})"), (f"{x} = (-1e0)", f"(-{INFINITY})")]
        return case(branches, f"{x} * {NAN}")
    return case(
        [(f"{u} = 1e0", x), (f"{u} = {INFINITY}", INFINITY), (f"{u} = 0e0", log)], f"{x} * ({log} / ({u} - 1e0))"
    )


def _expm1(x: str, writer: Writer) -> str:
    if writer.dialect == "spark":
        return f"expm1({x})"
    u = f"exp({x})"
    branches = [(f"{u} = 1e0", x), (f"{u} = {INFINITY}", INFINITY), (f"{u} - 1e0 = (-1e0)", "(-1e0)")]
    return case(branches, f"({u} - 1e0) * ({x} / ln({u}))")


_APPLIED: Mapping[str, Callable[[str, Writer], str]] = {
    "abs": lambda x, _: f"abs({x})",
    "cbrt": lambda x, _: f"cbrt({x})",
    "cos": lambda x, _: f"cos({x})",
    "exp": lambda x, _: f"exp({x})",
    "expm1": _expm1,
    "floor": lambda x, w: f"floor({x})" if w.dialect == "duckdb" else _whole_number("floor", x),
    "log": lambda x, w: w.logarithm("ln", x),
    "log10": lambda x, w: w.logarithm("log10", x),
    "log1p": _log1p,
    "log2": lambda x, w: w.logarithm("log2", x),
    "negative": lambda x, _: f"(-{x})",
    "reciprocal": lambda x, w: w.divided("1e0", x, zero=True),
    "rint": lambda x, w: w.rint(x),
    # As the sigmoid of the evaluator, operation by operation.
    "sigmoid": lambda x, _: f"(1e0 / (1e0 + exp(-{x})))",
    # SQL's own sign is an integer, and 0 for NaN.
    "sign": lambda x, _: case(
        [(f"{x} > 0e0 AND {x} <= {INFINITY}", "1e0"), (f"{x} < 0e0", "(-1e0)"), (f"{x} = 0e0", "0e0")], x
    ),
    "sin": lambda x, _: f"sin({x})",
    "sqrt": lambda x, _: f"sqrt({x})",
    "square": lambda x, _: f"({x} * {x})",
    "tan": lambda x, _: f"tan({x})",
    "tanh": lambda x, _: f"tanh({x})",
    "trunc": lambda x, w: f"trunc({x})" if w.dialect == "duckdb" else _whole_number("trunc", x),
}


def _whole_number(name: str, x: str) -> str:
    """Spark's floor and ceil of a DOUBLE are BIGINT: beyond 2^52 a number is whole already, and may not fit."""
    lower, upper = f"CAST(floor({x}) AS DOUBLE)", f"CAST(ceil({x}) AS DOUBLE)"
    inner = lower if name == "floor" else f"CASE WHEN {x} < 0e0 THEN {upper} ELSE {lower} END"
    return case([(f"abs({x}) < 4503599627370496e0", inner)], x)


def combine(node: Combine, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """A group of columns as one."""
    terms = [whole(given[place]) for place in node.groups[column]]
    texts = [term.text for term in terms]
    if node.op == "argmax":
        return argmax(texts, writer)
    nan = any(term.nan for term in terms)
    if node.op == "maximum":
        return Term(f"greatest({', '.join(texts)})" if len(texts) > 1 else texts[0], nan=nan)
    if node.op == "minimum":
        if len(texts) == 1:
            return terms[0]
        if not nan:
            return Term(f"least({', '.join(texts)})")
        # NaN is SQL's largest number, and must win here too.
        return Term(f"(-greatest({', '.join(f'(-{text})' for text in texts)}))", nan=True)
    if node.op == "power":
        return Term(_folded(texts, lambda left, right: f"power({left}, {right})"), nan=True)
    if node.op == "divide":
        return Term(_folded(texts, lambda left, right: writer.divided(left, right, zero=True)), nan=True)
    sign = "*" if node.op == "product" else "+"
    text = added(texts) if sign == "+" else f"({' * '.join(texts)})"
    if node.op == "mean":
        text = f"({text} / {number(len(texts))})"
    return Term(text, nan=nan or any(term.infinite for term in terms) or len(terms) > 2 or node.op == "product")


def _folded(texts: Sequence[str], join: Callable[[str, str], str]) -> str:
    found = texts[0]
    for text in texts[1:]:
        found = join(found, text)
    return found


def argmax(texts: Sequence[str], writer: Writer) -> Term:
    """The place of the first largest: NaN is the largest, as it is for NumPy."""
    if len(texts) == 1:
        return constant(0.0)
    if len(texts) == 2:
        return flag(f"({texts[1]} > {texts[0]})")
    held = writer.variable()
    place = writer.bind(held, writer.items(texts), writer.place(held, writer.largest(held)))
    return Term(f"CAST({place} - 1 AS DOUBLE)", infinite=False, position=place)


def replaced(node: Replace, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """Another value in place of one."""
    x, new = given[column], float(node.new[column])
    kept = replace(x, test=None, position=None, infinite=x.infinite or math.isinf(new))
    if not math.isnan(node.old):
        return replace(
            kept, text=case([(f"{x.text} = {number(node.old)}", number(new))], x.text), nan=x.nan or math.isnan(new)
        )
    if not x.missing:
        return x
    filled = f"coalesce({x.text}, {number(new)})" if not x.nan else case([(missing(x), number(new))], x.text)
    return replace(kept, text=filled, null=False, nan=math.isnan(new))


def one_hot(node: OneHot, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """1 where it equals the code."""
    code = float(node.codes[column])
    return flag(None if math.isnan(code) else f"({given[0].text} = {number(code)})")


def piecewise(node: Piecewise, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """Polynomials between edges."""
    if len(node.origins) > MOST_PIECES:
        raise NoSql(f"a function of {len(node.origins)} pieces")
    x = given[0]
    sign = "<=" if node.left else "<"
    pieces = [
        _polynomial(x.text, float(origin), powers[column].tolist())
        for origin, powers in zip(node.origins, node.coefficients, strict=True)
    ]
    branches = [(f"{x.text} {sign} {number(edge)}", piece) for edge, piece in zip(node.edges, pieces, strict=False)]
    text = case([*branches, (f"{x.text} <= {INFINITY}", pieces[-1])], NAN) if x.missing else case(branches, pieces[-1])
    return Term(text, nan=True)


def _polynomial(x: str, origin: float, powers: Sequence[float]) -> str:
    found = number(powers[-1])
    for power in reversed(powers[:-1]):
        found = f"({found} * ({x} - {number(origin)}) + {number(power)})"
    return found


def linear(node: Linear, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """A weighted sum. Weights of 0 count where a column may be infinite: 0 times that is NaN."""
    products, nan, null = [], False, False
    for term, weight in zip(given, node.weights[:, column].tolist(), strict=True):
        if weight == 0.0 and not (term.missing or term.infinite):
            continue
        products.append(_product(term, weight))
        nan, null = nan or term.nan or term.infinite, null or term.null
    bias = float(node.bias[column])
    if bias != 0.0 or not products:
        products.append(number(bias))
    return Term(added(products, any_order=True), null=null, nan=True)


def _product(term: Term, weight: float) -> str:
    if weight == 1.0:
        return term.text
    if term.test is not None and math.isfinite(weight):
        return case([(term.test, number(weight))], "0e0")
    return f"{term.text} * {number(weight)}"


def distances(node: Distances, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """The squared distance to a point."""
    if node.points.size > MOST_PRODUCTS:
        raise NoSql(f"distances to {len(node.points)} points in {len(node.inputs)} columns")
    if not given:
        return constant(0.0)
    gaps = [f"({x.text} - {number(value)})" for x, value in zip(given, node.points[column].tolist(), strict=True)]
    return Term(added([f"{gap} * {gap}" for gap in gaps], any_order=True), any(x.null for x in given), nan=True)


def link(node: Link, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """One column of a softmax, or of shares of a sum."""
    held = writer.variable()
    values = writer.items([whole(term).text for term in given])
    one = writer.item(held, str(column + 1))
    if node.function == "softmax":
        text = f"({_raised(one, held, writer)} / {writer.total(_all_raised(held, writer))})"
    else:
        text = _share(one, held, len(given), writer)
    return Term(writer.bind(held, values, text), nan=True, infinite=node.function != "softmax")


def link_list(node: Link, given: Sequence[Term], writer: Writer) -> str:
    """All columns of a link, as a list."""
    values = writer.items([whole(term).text for term in given])
    held, one = writer.variable(), writer.variable()
    if node.function == "normalize":
        return writer.bind(held, values, writer.each(held, one, _share(one, held, len(given), writer)))
    raised = writer.variable()
    shares = writer.each(raised, one, f"{one} / {writer.total(raised)}")
    return writer.bind(held, values, writer.bind(raised, _all_raised(held, writer), shares))


def _raised(one: str, held: str, writer: Writer) -> str:
    return f"exp({one} - {writer.largest(held)})"


def _all_raised(held: str, writer: Writer) -> str:
    one = writer.variable()
    return writer.each(held, one, _raised(one, held, writer))


def _share(one: str, held: str, width: int, writer: Writer) -> str:
    return case([(f"{writer.total(held)} = 0e0", number(1.0 / width))], f"{one} / {writer.total(held)}")


def _constant(node: Constant, given: Sequence[Term], column: int, writer: Writer) -> Term:
    return constant(float(node.values[column]))


def _guard(node: Guard, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """A column as it is: whoever asks for it has seen to the rule before."""
    x = given[column]
    kept = node.rule.endswith("_or_missing")
    return replace(x, infinite=False, null=x.null and kept, nan=x.nan and kept)


def trees(node: Trees, given: Sequence[Term], column: int, writer: Writer) -> Term:
    """An ensemble as a CASE a tree, added up in order."""
    if len(node.feature) > MOST_SPLITS:
        raise NoSql(f"trees of {len(node.feature)} splits")
    narrow = node.sum == "float32"
    summed = []
    for tree, root in enumerate(node.roots.tolist()):
        alone = node.leaves.shape[1] == 1 and node.output_of[tree] >= 0
        if alone and node.output_of[tree] != column:
            continue
        text = _tree(node, given, root, 0 if node.leaves.shape[1] == 1 else column)
        summed.append(f"CAST({text} AS FLOAT)" if narrow else text)
    base = _leaf(float(node.base[column]), narrow=narrow)
    summed = [*summed, base] if node.base_last else [base, *summed]
    text = added(summed)
    if node.divisor != 1.0:
        text = f"({text} / {_leaf(node.divisor, narrow=narrow)})"
    return Term(f"CAST({text} AS DOUBLE)" if narrow else text, infinite=True)


def _leaf(value: float, *, narrow: bool) -> str:
    if not narrow:
        return number(value)
    with np.errstate(over="ignore"):
        return f"CAST({number(float(np.float32(value)))} AS FLOAT)"


def _tree(node: Trees, given: Sequence[Term], place: int, column: int) -> str:
    if place < 0:
        value = float(node.leaves[~place, column])
        with np.errstate(over="ignore"):
            return number(float(np.float32(value)) if node.sum == "float32" else value)
    left, right = (_tree(node, given, int(child[place]), column) for child in (node.left, node.right))
    return branch(goes(node, given, place), left, right)


def branch(test: tuple[str, bool], left: str, right: str) -> str:
    """A split: to the left where the test holds, or else to the right where it is turned round."""
    condition, turned = test
    return case([(condition, right if turned else left)], left if turned else right)


def goes(node: Trees, given: Sequence[Term], place: int) -> tuple[str, bool]:
    """The condition of a split, and whether it is the one to go right."""
    x, sends_left = given[node.feature[place]], bool(node.missing_left[place])
    if node.set_of[place] >= 0:
        return members(node, x, place), False
    threshold = float(node.threshold[place])
    if node.compare == "float32":
        threshold = reaching(threshold)
    if sends_left and x.missing:
        test = above(x, threshold)
        return (test, True) if test is not None else ("FALSE", True)
    # NaN is larger than every threshold here, and NULL no more than it: a missing value goes right.
    return f"{x.text} <= {number(threshold)}", False


def members(node: Trees, x: Term, place: int) -> str:
    """The condition that a number cut to an integer is in the set."""
    which = int(node.set_of[place])
    held = node.set_members[node.set_starts[which] : node.set_starts[which + 1]].tolist()
    tests = [missing(x)] if x.missing and node.missing_left[place] else []
    if held:
        cut = f"CASE WHEN {x.text} < 0e0 THEN ceil({x.text}) ELSE floor({x.text}) END"
        tests.append(f"{cut} IN ({', '.join(number(float(member)) for member in held)})")
    return f"({' OR '.join(tests)})" if tests else "FALSE"


def reaching(threshold: float) -> float:
    """The largest float64 that, rounded to float32, is at most this float32.

    Example:
        >>> reaching(1.0) == 1.0 + 2.0**-24, reaching(0.0) == 2.0**-150
        (True, True)
    """
    if threshold == math.inf or math.isnan(threshold):
        return threshold
    if threshold == -math.inf:
        return -FLOAT32_END
    here = np.float32(threshold)
    with np.errstate(over="ignore"):
        following = np.nextafter(here, np.float32(np.inf))
    end = FLOAT32_END if np.isinf(following) else (float(here) + float(following)) / 2.0
    # Half way between two, the even one is taken.
    even = int(here.view(np.int32)) % 2 == 0
    return end if even else float(np.nextafter(end, -math.inf))


Printed = Callable[[Node, Sequence[Term], int, Writer], Term]

PRINTED: dict[type[Node], Callable[..., Term]] = {
    Apply: apply,
    Arithmetic: arithmetic,
    Combine: combine,
    Constant: _constant,
    Distances: distances,
    Guard: _guard,
    Linear: linear,
    Link: link,
    OneHot: one_hot,
    Piecewise: piecewise,
    Replace: replaced,
    Trees: trees,
}
