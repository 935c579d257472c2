"""What runs in Spark's JVM answers as the evaluator does: each kind of node, and a printer with mistakes in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("pyspark")

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from programs.java_asking import differs, published, refusal, session
from programs.making import forest, numbers, rows, screened
from programs.sql_asking import EXTREMES, HALF_WAY, TEXTS, logistic, logistic_rows, over, pairs
from sqlml.programs import java, java_nodes, java_printer, java_trees
from sqlml.programs.evaluate import evaluate
from sqlml.programs.java import NoJava
from sqlml.programs.program import (
    APPLIED,
    ARITHMETIC,
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

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")]


@pytest.fixture(scope="module")
def jvm(spark, tmp_path_factory):
    return session(spark, tmp_path_factory.mktemp("jars"))


def check(jvm, programs, columns, **options):
    assert differs(jvm, programs, columns, **options) == {}


EXACT = {"abs", "float32", "floor", "is_missing", "negative", "not", "reciprocal", "relu", "rint", "sign", "sqrt"}
EXACT |= {"square", "trunc"}


def test_functions(jvm):
    values = np.array([*EXTREMES, *np.linspace(-5, 5, 301), 700.0, -745.0, *2.0 ** np.arange(-30, 30)])
    names = [name for name in APPLIED if name != "normal_cdf"]
    programs = {name: over(lambda refs, f=name: Apply(inputs=refs, function=f), 1) for name in names}
    bounds = {name: 0.0 if name in EXACT else 1e-14 for name in names}
    # The sign of a zero is nobody's promise.
    found = differs(jvm, programs, [values], bounds=bounds)
    assert {name: one for name, one in found.items() if one[2] != [0.0] or one[3] != 0.0} == {}


def test_arithmetic(jvm):
    programs = {
        f"{op} {operand}": over(
            lambda refs, o=op, k=operand: Arithmetic(inputs=refs, op=o, operand=np.array([k, -1.5])), 2
        )
        for op in ARITHMETIC
        for operand in (2.0, 0.0, 1e-300, np.inf, np.nan)
    }
    check(jvm, programs, pairs(), bounds=1e-300)


def test_columns_together(jvm):
    wide = np.arange(300).reshape(3, 100) % 3
    programs = {}
    for op in ("sum", "product", "maximum", "minimum", "argmax", "divide", "power", "mean"):
        groups = [[0, 1], [2, 0]] if op in ("divide", "power") else [[0, 1, 2], [2, 1, 0], [1, 1, 1]]
        programs[op] = over(lambda refs, o=op, g=groups: Combine(inputs=refs, op=o, groups=np.array(g, np.int32)), 3)
        if op not in ("divide", "power"):
            programs[f"{op} of many"] = over(
                lambda refs, o=op: Combine(inputs=refs, op=o, groups=wide.astype(np.int32)), 3
            )
    programs["two"] = over(lambda refs: Combine(inputs=refs, op="argmax", groups=np.array([[0, 1]], np.int32)), 3)
    odd = np.random.default_rng(1).choice(EXTREMES, (3, 400))
    bounds = {"power": 1e-13, "product of many": 1e-13}
    found = differs(jvm, programs, list(odd), bounds={name: bounds.get(name, 1e-300) for name in programs})
    assert found == {}


def test_other_nodes_of_numbers(jvm):
    random = np.random.default_rng(2)
    edges = np.array([-1.0, 0.0, 0.5, 2.0])
    pieces = {"edges": edges, "origins": random.normal(size=5), "coefficients": random.normal(size=(5, 3, 4))}
    programs = {
        "constant": over(lambda refs: Constant(values=np.array([1.5, np.nan, -np.inf, 5e-324, 0.1])), 3),
        "replace": over(lambda refs: Replace(inputs=refs, old=1.0, new=np.array([7.0, np.nan, np.inf])), 3),
        "replace missing": over(lambda refs: Replace(inputs=refs, old=np.nan, new=np.array([7.0, 0.0, -1.0])), 3),
        "one hot": over(lambda refs: OneHot(inputs=refs[:1], codes=np.array([0.0, 1.0, np.nan, 2.0])), 3),
        "piecewise": over(lambda refs: Piecewise(inputs=refs[:1], **pieces), 3),
        "piecewise left": over(lambda refs: Piecewise(inputs=refs[:1], left=True, **pieces), 3),
        "distances": over(lambda refs: Distances(inputs=refs, points=random.normal(size=(6, 3))), 3),
        "softmax": over(lambda refs: Link(inputs=refs, function="softmax"), 3),
        "normalize": over(lambda refs: Link(inputs=refs, function="normalize"), 3),
        "median": over(lambda refs: Median(inputs=refs, weights=np.array([0.2, 1.0, 0.9])), 3),
    }
    columns = rows(random, 600, 3)
    columns[:100, 0] = random.choice(edges, 100)
    check(jvm, programs, list(columns.T), bounds=1e-12, scale=1e-3)


def stack(width, layers, outputs=1):
    """Units of a network, standardized first: too many for a statement each."""
    random = np.random.default_rng(3)
    graph, refs = numbers([f"x{i}" for i in range(width)])
    refs = graph.add(Guard(inputs=refs, rule="finite"))
    refs = graph.add(Arithmetic(inputs=refs, op="subtract", operand=random.normal(size=width)))
    for units in (*layers, outputs):
        weights = random.normal(size=(len(refs), units)) / len(refs)
        refs = graph.add(Linear(inputs=refs, weights=weights, bias=random.normal(size=units)))
        refs = graph.add(Apply(inputs=refs, function="relu" if units != outputs else "sigmoid"))
    return graph.program({"value": refs})


@pytest.mark.parametrize(
    ("width", "layers", "outputs"), [(7, (), 1), (29, (), 3), (60, (40, 30), 4), (118, (), 200), (400, (20,), 1)]
)
def test_weighted_sums(jvm, width, layers, outputs):
    columns = list(np.random.default_rng(4).normal(size=(50, width)).T)
    columns[1][3] = np.nan
    columns[-1][4] = np.nan
    check(jvm, {"f": stack(width, layers, outputs)}, columns, bounds=1e-12, required=range(width))


SHAPES = [
    {"trees": 3, "leaves": 1},
    {"trees": 7, "leaves": 9},
    {"trees": 20, "leaves": 31},
    {"trees": 4, "leaves": 64, "deep": True},
    {"trees": 6, "leaves": 40, "categories": 2},
    {"trees": 6, "leaves": 40, "narrow": True},
    {"trees": 6, "leaves": 40, "narrow": True, "categories": 2},
    {"trees": 6, "leaves": 20, "width": 3},
    {"trees": 9, "leaves": 20, "outputs": 3},
    {"trees": 3, "leaves": 600, "narrow": True, "width": 2},
    {"trees": 5, "leaves": 12, "sum": "float32", "narrow": True},
    {"trees": 5, "leaves": 600, "sum": "float32", "base_last": True},
    {"trees": 5, "leaves": 12, "sum": "float32", "width": 2, "divisor": 3.0},
    {"trees": 5, "leaves": 12, "divisor": 5.0, "width": 2},
    {"trees": 5, "leaves": 12, "base_last": True, "divisor": 3.0, "outputs": 2},
]


def test_trees_to_the_last_bit(jvm):
    random = np.random.default_rng(5)
    programs = {str(shape): forest(random, 5, **shape) for shape in SHAPES}
    held = rows(random, 2_000, 5)
    for i, program in enumerate(programs.values()):
        (node,) = (one for one in program.nodes if isinstance(one, Trees))
        at = node.threshold[np.flatnonzero(node.set_of < 0)[:60]]
        narrow = at.astype(np.float32)
        around = [at, np.nextafter(at, -9), np.nextafter(at, 9)]
        around += [np.nextafter(narrow, np.float32(side)).astype(float) for side in (-9, 9)]
        around += [(at + np.nextafter(narrow, np.float32(9)).astype(float)) / 2]
        near = np.concatenate(around) if len(at) else np.zeros(0)
        held[: len(near), i % 5] = near
    held[-20:, 0] = [-0.5, 3.7, 12.0, 1e10, -1e10, 2.0**31, 2.0**32 + 3, 63.0, 64.0, 11.999, *HALF_WAY, *[np.inf] * 6]
    check(jvm, programs, list(held.T))


def test_a_missing_value_in_each_way(jvm):
    """Through Spark's generated code and, where the call doesn't say NaN, row by row."""
    random = np.random.default_rng(6)
    programs = {"f": forest(random, 3, 8, leaves=20, categories=1), "g": forest(random, 3, 5, leaves=9, width=2)}
    columns = list(rows(random, 300, 3).T)
    for required in ((), (1,), (0, 1, 2)):
        check(jvm, programs, columns, required=required)
        check(jvm, programs, columns, required=required, plain=True)


# Categories


@pytest.mark.parametrize("missing", [None, 2.0, 9.0, np.nan])
@pytest.mark.parametrize("unknown", [None, 1.0, 8.0])
def test_categories_and_numbers(jvm, missing, unknown):
    program = logistic(missing=missing, unknown=unknown)
    check(jvm, {"f": program}, logistic_rows(), bounds=1e-12, scale=1e-2)
    check(jvm, {"f": program}, logistic_rows(), bounds=1e-12, scale=1e-2, required=(0, 2), plain=True)


def coded(count, keys, *, unknown=-1.0, missing=-2.0, width=1, hot=True, scale=False):
    """One column of categories, encoded and summed up."""
    random = np.random.default_rng(7)
    graph = Builder([("a", isinstance(keys, tuple)), ("b", False)])
    codes = random.permutation(count).astype(float)
    refs = graph.add(Encode(inputs=graph.input("a"), keys=keys, codes=codes, missing=missing, unknown=unknown))
    if hot:
        refs = graph.add(OneHot(inputs=refs, codes=np.sort(codes)))
    if scale:
        refs = graph.add(Arithmetic(inputs=refs, op="divide", operand=np.linspace(1, 2, len(refs))))
    refs += graph.input("b")
    weights = random.normal(size=(len(refs), width))
    value = graph.add(Linear(inputs=refs, weights=weights, bias=np.zeros(width)))
    return graph.program({"value": (refs[0], *value) if scale else value})


@pytest.mark.parametrize("options", [{}, {"hot": False}, {"width": 40}, {"scale": True}, {"width": 3, "scale": True}])
def test_codes(jvm, options):
    texts = tuple(f"k{i} é" for i in range(2_000))
    keys = np.concatenate([np.random.default_rng(8).normal(size=298).round(3), [np.inf, 0.0]])
    text = [*texts[::7], "", "k1", None, "K1 é"]
    check(jvm, {"text": coded(2_000, texts, **options)}, [text, np.arange(len(text)) / 7], bounds=1e-12)
    number = [*keys, *np.nextafter(keys, 9), -0.0, np.nan, -np.inf, 1e300]
    check(jvm, {"numbers": coded(300, keys, **options)}, [number, np.arange(len(number)) / 7], bounds=1e-12)


def test_filled_text(jvm):
    graph = Builder([("a", True), ("b", True)])
    filled = graph.add(FillText(inputs=graph.input("a") + graph.input("b"), texts=("none", "u")))
    codes = [
        graph.add(Encode(inputs=(ref,), keys=("u", "none", ""), codes=np.arange(3.0), missing=None, unknown=5.0))
        for ref in filled
    ]
    program = graph.program({"value": codes[0] + codes[1]})
    check(jvm, {"f": program}, [TEXTS, TEXTS[::-1]])


# What is refused


RULES = {
    "finite": ([np.inf, -np.inf, np.nan], "is infinite or missing"),
    "finite_or_missing": ([np.inf, -np.inf], "is infinite"),
    "float32": ([3.5e38, np.nan, -np.inf], "is too large for float32"),
    "float32_or_missing": ([3.5e38, -np.inf], "is too large for float32"),
}


@pytest.mark.parametrize("rule", RULES)
def test_guards(jvm, rule):
    program = over(lambda refs: Guard(inputs=refs, rule=rule))
    top = float(np.finfo(np.float32).max)
    end = np.nextafter(top + 2.0**103, 0)
    values = [*EXTREMES, top, end, -end, np.nextafter(end, np.inf)]
    check(jvm, {"f": program}, pairs(values))
    wrong, message = RULES[rule]
    for value in wrong:
        assert f"The argument 'b' {message}" in refusal(jvm, published(program), [1.0, value])


def test_a_category_that_is_refused(jvm):
    program = logistic()
    unseen = refusal(jvm, published(program), [1.0, 2.0, "new \"one'"])
    assert "The argument 'c' is 'new \"one'', which the model never saw" in unseen
    assert "The argument 'c' is missing, which the model refuses" in refusal(jvm, published(program), [1.0, 2.0, None])


# A printer with a mistake in it is found out


def _narrowing(*given, own=java_trees._walks):
    return own(*given).replace("z[", "x[at + ")


def _missing_the_other_way(body, node, held, thresholds, own=java_trees._right):
    return own(body, replace(node, missing_left=~node.missing_left), held, thresholds)


def _wide_sums(body, node, held, own=java_trees._one):
    return own(body, replace(node, sum="float64"), held)


def _swapped(node, own=java_printer._codes):
    return own(node)[[*range(len(node.codes)), -1, -2]]


MISTAKES = {
    "less for at most": (java_trees, "_walks", lambda *given, own=java_trees._walks: own(*given).replace("<=", "<")),
    "missing the other way": (java_trees, "_right", _missing_the_other_way),
    "float32 forgotten": (java_trees, "_walks", _narrowing),
    "wide sums": (java_trees, "_one", _wide_sums),
    "NaN is greater": (java_nodes, "_ARITHMETIC", {**java_nodes._ARITHMETIC, "greater": "({x} <= {k} ? 0.0 : 1.0)"}),
    "add for subtract": (java_nodes, "_ARITHMETIC", {**java_nodes._ARITHMETIC, "subtract": "{x} + {k}"}),
    "rounded constants": (java_printer, "number", lambda value: f"{value:.9g}"),
    "unknown is missing": (java_printer, "_codes", _swapped),
    "the model's arguments are forgotten": (java._Function, "_missing", lambda self, i, x: "false"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found(jvm, mistake, monkeypatch):
    where, name, wrong = MISTAKES[mistake]
    random = np.random.default_rng(8)
    narrow, wide = forest(random, 2, 9, leaves=6, narrow=True, sum="float32"), forest(random, 2, 3, leaves=6)
    held = rows(random, 300, 2)
    for i, program in enumerate((narrow, wide)):
        (node,) = (one for one in program.nodes if isinstance(one, Trees))
        held[100 * i : 100 * i + 100, 0] = random.choice(node.threshold, 100)
        held[100 * i : 100 * i + 100, 1] = random.choice(node.threshold, 100) * (1 + 2.0**-25)
    greater = over(lambda refs: Arithmetic(inputs=refs, op="greater", operand=np.array([0.5, 0.1])))
    sums = stack(7, (), 1)
    near = {"bounds": 1e-12, "scale": 1e-2}
    asked = [
        ({"narrow": narrow, "wide": wide}, list(held.T), {}),
        ({"greater": greater}, pairs(), {}),
        ({"sums": sums}, list(random.normal(size=(7, 20))), near),
        ({"f": logistic(missing=3.0, unknown=1.0)}, logistic_rows(), {**near, "required": (0, 1)}),
    ]
    for programs, columns, options in asked:
        check(jvm, programs, columns, **options)
    monkeypatch.setattr(where, name, wrong)

    def found(programs, columns, options):
        try:
            return bool(differs(jvm, programs, columns, **options))
        except (NoJava, PySparkException, Py4JJavaError):
            return True

    assert any(found(*one) for one in asked)


SCREENED = [
    {"trees": 1, "leaves": 2},
    {"trees": 40, "leaves": 15},
    {"trees": 41, "leaves": 9, "base_last": True, "divisor": 41.0},
    {"trees": 40, "leaves": 9, "sum": "float32", "narrow": True},
    {"trees": 22, "leaves": 9, "categories": 2},
]


@pytest.mark.parametrize("sides", [(True, False), (False, True), (True, True)], ids=str)
def test_screened_trees(jvm, sides):
    """The sum to the last bit, or an infinity on the right side of the bound."""
    random = np.random.default_rng(16)
    below, above = sides
    columns = rows(random, 900, 3)
    columns[: len(columns) // 2][np.isnan(columns[: len(columns) // 2])] = 0.0
    decided = 0
    for i, shape in enumerate(SCREENED):
        program = forest(random, 3, **shape)
        exact = evaluate(program, list(columns.T)).heads["value"][:, 0]
        ties = np.where(random.random(900) < 0.5, exact, random.permutation(exact))
        ties[:9] = [np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, *exact[6:9]]
        held = screened(program, below=below, above=above)
        names = [node.name for node in held.inputs]
        table = pa.table({name: given for name, given in zip(names, [*columns.T, ties], strict=True)})
        table = table.append_column("__row", pa.array(range(900)))
        found = np.array(jvm.answers([published(held, f"screened{i}")], table)[f"screened{i}"], float)
        open_ = found == exact
        slack = 1e-9 * np.maximum(1.0, np.abs(ties))
        with np.errstate(invalid="ignore"):
            low, high = (found == -np.inf) & (exact < ties - slack), (found == np.inf) & (exact > ties + slack)
        assert (open_ | (low & below) | (high & above)).all()
        decided += (~open_).sum()
    assert decided > 300


def test_a_forgotten_guard_is_found(jvm, monkeypatch):
    monkeypatch.setattr(java_printer, "_KEEPS", dict.fromkeys(java_printer._KEEPS, "true"))
    assert refusal(jvm, published(logistic(missing=1.0, unknown=1.0)), [np.inf, 1.0, "u"]) == ""
