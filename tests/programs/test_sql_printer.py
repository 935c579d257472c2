"""The SQL of programs gives what the evaluator gives, row by row, in DuckDB."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.making import ODD, ensemble, forest, numbers, rows
from programs.sql_asking import (
    EXTREMES,
    NO_DUCKDB,
    TEXTS,
    check,
    expected,
    logistic,
    logistic_rows,
    over,
    pairs,
    parts_of,
    same,
)
from sqlml.programs import sql_nodes, sql_terms
from sqlml.programs.program import (
    APPLIED,
    ARITHMETIC,
    COMBINED,
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
from sqlml.programs.sql import NoSql, sql_text


@pytest.fixture(scope="module")
def duck():
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        yield connection


# A node each


@pytest.mark.parametrize("operand", [0.3, 0.0, -0.0, -2.5, 1e308, np.inf, -np.inf, np.nan, 1.0])
@pytest.mark.parametrize("op", ARITHMETIC)
def test_arithmetic(duck, op, operand):
    program = over(lambda refs: Arithmetic(inputs=refs, op=op, operand=np.array([operand])), 1)
    # Which zero the smaller of two is, NumPy itself leaves open.
    bound = 1e-300 if op in ("minimum", "maximum") else 0.0
    check(duck, program, [np.array(EXTREMES)], bound=bound)
    check(duck, program, [np.array(EXTREMES)], bound=bound, required=[0])


@pytest.mark.parametrize("function", [name for name in APPLIED if name not in NO_DUCKDB])
def test_functions(duck, function):
    program = over(lambda refs: Apply(inputs=refs, function=function), 1)
    exact = {
        "abs",
        "float32",
        "floor",
        "is_missing",
        "negative",
        "not",
        "reciprocal",
        "rint",
        "sqrt",
        "square",
        "trunc",
    }
    values = np.array(EXTREMES)
    check(duck, program, [values], bound=0.0 if function in exact else 4e-15)
    check(duck, program, [values], bound=0.0 if function in exact else 4e-15, required=[0])


@pytest.mark.parametrize("op", COMBINED)
def test_columns_together(duck, op):
    groups = np.array([[0, 1], [1, 0]], np.int32)
    program = over(lambda refs: Combine(inputs=refs, op=op, groups=groups))
    bound = {"power": 4e-15, "maximum": 1e-300, "minimum": 1e-300}.get(op, 0.0)
    check(duck, program, pairs(), bound=bound)
    check(duck, program, pairs(), bound=bound, required=[0, 1])


@pytest.mark.parametrize("op", ["sum", "product", "maximum", "minimum", "argmax", "mean"])
def test_three_columns_together(duck, op):
    program = over(lambda refs: Combine(inputs=refs, op=op, groups=np.array([[0, 2, 1]], np.int32)), 3)
    columns = rows(np.random.default_rng(1), 300, 3)
    columns[::7, 1] = columns[::7, 0]
    check(duck, program, list(columns.T), bound=1e-300 if op in ("maximum", "minimum") else 0.0)


@pytest.mark.parametrize("old", [np.nan, 0.0, 2.0, np.inf])
@pytest.mark.parametrize("new", [1.5, np.nan, np.inf])
def test_replaced(duck, old, new):
    program = over(lambda refs: Replace(inputs=refs, old=old, new=np.array([new])), 1)
    check(duck, program, [np.array(EXTREMES)])
    check(duck, program, [np.array(EXTREMES)], required=[0])


def test_constant(duck):
    program = over(lambda refs: Constant(values=np.array([0.1, -0.0, np.inf])), 1)
    check(duck, program, [np.array(EXTREMES)])


@pytest.mark.parametrize("left", [False, True])
def test_piecewise(duck, left):
    random = np.random.default_rng(0)
    node = {
        "edges": np.array([-1.0, 0.5, 0.5, 2.0]),
        "origins": np.array([-1.0, -1.0, 0.5, 0.5, 2.0]),
        "left": left,
    }
    for powers in (1, 3):
        held = random.normal(size=(5, 2, powers))
        program = over(lambda refs, held=held: Piecewise(inputs=refs, coefficients=held, **node), 1)
        check(duck, program, [np.array(EXTREMES)])
        check(duck, program, [np.array(EXTREMES)], required=[0])


def test_distances(duck):
    program = over(lambda refs: Distances(inputs=refs, points=np.array([[0.5, 1.0], [-2.0, 3.0]])))
    check(duck, program, pairs(), bound=1e-12)


@pytest.mark.parametrize("function", ["softmax", "normalize"])
def test_links(duck, function):
    program = over(lambda refs: Link(inputs=refs, function=function), 3)
    columns = rows(np.random.default_rng(2), 300, 3)
    columns[:5] = [[0, 0, 0], [800, 0, 1], [-800, -801, -900], [1, -1, 0], [np.inf, 1, 2]]
    check(duck, program, list(columns.T), bound=1e-12)
    check(duck, program, list(columns.T), bound=1e-12, required=[0, 1, 2])
    last = over(lambda refs: Link(inputs=refs, function=function), 3)
    held = type(last)(last.nodes, {"value": last.heads["value"][1:2]})
    check(duck, held, list(columns.T), bound=1e-12)


@pytest.mark.parametrize("rule", ["finite", "finite_or_missing", "float32", "float32_or_missing"])
@pytest.mark.parametrize("required", [(), (0, 1)])
def test_guards(duck, rule, required):
    program = over(lambda refs: Guard(inputs=refs, rule=rule))
    check(duck, program, pairs([*ODD, 3.4028235677973362e38, 3.4028235677973366e38]), required=required)


def test_linear(duck):
    random = np.random.default_rng(3)
    columns = rows(random, 500, 8)
    for guarded in (False, True):
        graph, refs = numbers(list("abcdefgh"))
        kept = graph.add(Guard(inputs=refs, rule="finite")) if guarded else refs
        moved = graph.add(Arithmetic(inputs=kept, op="subtract", operand=np.round(random.normal(size=8), 1)))
        scaled = graph.add(Arithmetic(inputs=moved, op="divide", operand=np.abs(random.normal(size=8)) + 0.01))
        weights = random.normal(size=(8, 2))
        weights[3] = 0.0
        summed = graph.add(Linear(inputs=scaled, weights=weights, bias=np.array([0.7, -1.0])))
        for required in ((), range(8)):
            check(
                duck, graph.program({"value": summed[:1]}), list(columns.T), required=required, bound=1e-12, scale=1.0
            )
            check(duck, graph.program({"value": summed}), list(columns.T), required=required, bound=1e-12, scale=1.0)


@pytest.mark.parametrize("missing", [None, 2.0, 7.0])
@pytest.mark.parametrize("unknown", [None, 1.0, 7.0])
@pytest.mark.parametrize("required", [(0, 1, 2), (0, 1), ()])
def test_categories_and_numbers(duck, missing, unknown, required):
    program = logistic(missing=missing, unknown=unknown)
    for head in program.heads:
        check(duck, program, logistic_rows(), head=head, required=required, bound=1e-12, scale=1e-2)


@pytest.mark.parametrize("count", [0, 1, 5, 40])
@pytest.mark.parametrize("unknown", [None, -1.0, np.nan])
def test_codes_of_text(duck, count, unknown):
    keys = tuple(f"k{i}" for i in range(count))
    graph = Builder([("c", True)])
    node = Encode(
        inputs=graph.input("c"), keys=keys, codes=np.arange(float(count)) * 0.5, missing=np.nan, unknown=unknown
    )
    program = graph.program({"value": graph.add(node)})
    values = [*keys, None, "K0", "", "k0 "]
    for required in ((), (0,)):
        check(duck, program, [values], required=required)


@pytest.mark.parametrize("missing", [None, -1.0])
@pytest.mark.parametrize("unknown", [None, -2.0])
def test_codes_of_numbers(duck, missing, unknown):
    graph = Builder([("x", False)])
    keys = np.array([3.0, -0.0, 0.1, np.inf])
    node = Encode(
        inputs=graph.input("x"), keys=keys, codes=np.array([1.0, 2.0, 3.0, 4.0]), missing=missing, unknown=unknown
    )
    program = graph.program({"value": graph.add(node)})
    for required in ((), (0,)):
        check(duck, program, [np.array(EXTREMES)], required=required)


def test_filled_text_and_one_hot(duck):
    graph = Builder([("c", True), ("x", False)])
    filled = graph.add(FillText(inputs=graph.input("c"), texts=("v",)))
    code = graph.add(Encode(inputs=filled, keys=("u", "v"), codes=np.array([0.0, 1.0]), missing=None, unknown=-1.0))
    hot = graph.add(OneHot(inputs=code, codes=np.array([0.0, 1.0, -1.0])))
    own = graph.add(OneHot(inputs=graph.input("x"), codes=np.array([0.0, np.nan, np.inf])))
    program = graph.program({"value": hot + own})
    values = [TEXTS[i % len(TEXTS)] for i in range(len(EXTREMES))]
    check(duck, program, [values, np.array(EXTREMES)])


# Trees


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("options", [{}, {"base_last": True, "divisor": 3.0}, {"sum": "float32"}, {"categories": 2}])
@pytest.mark.parametrize("required", [(), (0, 1, 2)])
def test_trees(duck, narrow, options, required):
    random = np.random.default_rng(5)
    program = forest(random, 3, 6, leaves=6, narrow=narrow, outputs=2, **options)
    (node,) = (one for one in program.nodes if isinstance(one, Trees))
    held = rows(random, 400, 3)
    near = random.choice(node.threshold, 400)
    held[:100, 0] = near[:100]
    held[100:200, 1] = np.nextafter(near[100:200], np.inf)
    held[200:300, 1] = near[200:300] * (1 + 2.0**-24 * random.integers(-2, 3, 100))
    check(duck, program, list(held.T), required=required)


def test_trees_with_several_outputs_a_leaf(duck):
    random = np.random.default_rng(6)
    check(duck, forest(random, 2, 3, leaves=4, width=2), list(rows(random, 200, 2).T))


@given(st.floats(width=32, allow_nan=False), st.floats(allow_nan=False))
@settings(max_examples=300, deadline=None)
def test_a_float32_comparison_is_one_of_float64(threshold, other):
    bound = sql_nodes.reaching(threshold)
    with np.errstate(over="ignore"):
        for x in (bound, np.nextafter(bound, np.inf), np.nextafter(bound, -np.inf), threshold, other):
            assert (float(np.float32(x)) <= threshold) == (x <= bound)


# Texts


@given(st.lists(st.floats(), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_constants_keep_their_bits(values):
    values = [*values, 5e-324, 2.2250738585072011e-308, 1.7976931348623157e308, 0.1, -0.0]
    with duckdb.connect() as connection:
        (got,) = connection.execute(f"SELECT [{', '.join(map(sql_terms.number, values))}]").fetchone()
    assert all(same(own, other, 0.0) for own, other in zip(values, got, strict=True))


@pytest.mark.parametrize("name", ["a b", "Größe", 'x"y', "select", "it's", "__sqlml_1", "A", "lambda"])
def test_odd_names(duck, name):
    graph = Builder([(name, False)])
    guarded = graph.add(Guard(inputs=graph.input(name), rule="finite"))
    summed = graph.add(Linear(inputs=guarded * 2, weights=np.array([[0.5], [0.25]]), bias=np.array([1.0])))
    both = graph.add(Link(inputs=summed + guarded, function="softmax"))
    program = graph.program({"value": both})
    check(duck, program, [np.array(EXTREMES)], bound=1e-12, required=[0])
    check(duck, program, [np.array(EXTREMES)], bound=1e-12, required=[0], as_tree=True)


@pytest.mark.parametrize(
    ("labels", "type_"),
    [
        (["no", "it's"], "VARCHAR"),
        ([0, 7], "BIGINT"),
        ([False, True], "BOOLEAN"),
        ([0.5, 1.5], "DOUBLE"),
        (["a", "b", "c"], "VARCHAR"),
    ],
)
def test_labels(duck, labels, type_):
    graph, refs = numbers(["a", "b", "c"][: len(labels)])
    groups = np.arange(len(refs), dtype=np.int32)[None, :]
    label = graph.add(Combine(inputs=refs, op="argmax", groups=groups))
    link = graph.add(Link(inputs=refs, function="normalize"))
    program = graph.program({"label": label, "probabilities": link})
    held = np.abs(rows(np.random.default_rng(7), 60, len(refs)))
    names = [node.name for node in program.inputs]
    duck.register("given", parts_of(program, list(held.T)))
    text = sql_text(program, "label", names, labels=labels, required=())
    got = duck.execute(f"SELECT {text} AS v, typeof({text}) FROM given").fetchall()
    places, _, _ = expected(program, "label", list(held.T), ())
    assert got == [(labels[int(place)], type_) for place in places[:, 0]]
    want, _, _ = expected(program, "probabilities", list(held.T), ())
    text = sql_text(program, "probabilities", names, labels=labels, shape="map", required=())
    for row, (answer,) in zip(want, duck.execute(f"SELECT {text} FROM given").fetchall(), strict=True):
        assert list(answer) == labels
        assert all(same(own, other, 1e-12) for own, other in zip(row.tolist(), answer.values(), strict=True))
    text = sql_text(program, "probabilities", names, shape="last", required=())
    for row, (answer,) in zip(want, duck.execute(f"SELECT {text} FROM given").fetchall(), strict=True):
        assert same(float(row[-1]), answer, 1e-12)


def test_a_missing_value_may_be_an_error(duck):
    text = sql_text(logistic(), "value", ["a", "b", "c"], strict=True)
    with pytest.raises(duckdb.InvalidInputException, match="The argument 'b' is missing"):
        duck.execute(f"SELECT {text} FROM (VALUES (1e0, NULL::DOUBLE, 'u')) AS t(a, b, c)").fetchall()


def test_a_refused_value_is_named(duck):
    text = sql_text(logistic(), "value", ["a", "b", "c"])
    with pytest.raises(duckdb.InvalidInputException, match="The argument 'c' is 'w', which the model never saw"):
        duck.execute(f"SELECT {text} FROM (VALUES (1e0, 2e0, 'w')) AS t(a, b, c)").fetchall()
    # A row that another condition leaves out is not looked at.
    query = f"SELECT CASE WHEN a > 5 THEN {text} END FROM (VALUES (1e0, 2e0, 'w'), (6, 2, 'u')) AS t(a, b, c)"
    assert duck.execute(query).fetchall()[0] == (None,)


@pytest.mark.parametrize(
    "make",
    [
        lambda refs: Median(inputs=refs, weights=np.ones(2)),
        lambda refs: Apply(inputs=refs, function="normal_cdf"),
        lambda refs: Distances(inputs=refs, points=np.ones((200, 2))),
        lambda refs: Piecewise(
            inputs=refs[:1], edges=np.arange(20.0), origins=np.zeros(21), coefficients=np.zeros((21, 1, 1))
        ),
        lambda refs: Trees(inputs=refs, **ensemble(np.random.default_rng(0), 2, 100, leaves=8)),
    ],
)
def test_what_is_no_sql(make):
    with pytest.raises(NoSql):
        sql_text(over(make), "value", ["a", "b"])


def test_text_that_would_grow_for_ever_is_refused():
    graph, refs = numbers(["a"])
    for _ in range(40):
        refs = graph.add(Apply(inputs=refs, function="square"))
    with pytest.raises(NoSql):
        sql_text(graph.program({"value": refs}), "value", ["a"])


@pytest.mark.parametrize("as_tree", [False, True])
def test_a_wide_sum_is_not_too_deep(duck, as_tree):
    graph, refs = numbers([f"x{i}" for i in range(1200)])
    weights = np.random.default_rng(0).normal(size=(1200, 1))
    program = graph.program({"value": graph.add(Linear(inputs=refs, weights=weights, bias=np.zeros(1)))})
    held = np.random.default_rng(1).normal(size=(3, 1200))
    check(duck, program, list(held.T), bound=1e-12, scale=1.0, as_tree=as_tree)


def test_the_tree_of_sqlglot_says_the_same(duck):
    random = np.random.default_rng(5)
    check(
        duck,
        forest(random, 3, 4, leaves=6, narrow=True, categories=1, sum="float32"),
        list(rows(random, 99, 3).T),
        as_tree=True,
    )
    for head in ("label", "probabilities", "value"):
        check(
            duck,
            logistic(missing=2.0),
            logistic_rows(),
            head=head,
            required=(0, 1),
            bound=1e-12,
            scale=1e-2,
            as_tree=True,
        )
    graph = Builder([("c", True)])
    keys = tuple(f"it's \\{i}" for i in range(40))
    node = Encode(inputs=graph.input("c"), keys=keys, codes=np.arange(40.0), missing=-2.0, unknown=-1.0)
    check(duck, graph.program({"value": graph.add(node)}), [[*keys, "", None]], as_tree=True)


# Programs put together at random


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_programs_at_random(data):
    seed = data.draw(st.integers(0, 10_000))
    random = np.random.default_rng(seed)
    graph, refs = numbers(["a", "b"])
    for _ in range(data.draw(st.integers(1, 5))):
        picked = tuple(refs[i] for i in random.integers(len(refs), size=2))
        operand = random.choice([0.1, -2.0, 0.0, 1.0, 3.7], 2)
        made = data.draw(st.sampled_from(["arithmetic", "apply", "combine", "replace", "guard", "linear"]))
        node = {
            "arithmetic": lambda p=picked, o=operand: Arithmetic(
                inputs=p, op=str(random.choice(ARITHMETIC)), operand=o
            ),
            "apply": lambda p=picked: Apply(
                inputs=p,
                function=str(random.choice(["abs", "negative", "floor", "is_missing", "not", "sign", "float32"])),
            ),
            "combine": lambda p=picked: Combine(
                inputs=p,
                op=str(random.choice(["sum", "maximum", "minimum", "argmax"])),
                groups=np.array([[0, 1]], np.int32),
            ),
            "replace": lambda p=picked, o=operand: Replace(inputs=p, old=float(random.choice([np.nan, 1.0])), new=o),
            "guard": lambda p=picked: Guard(
                inputs=p, rule=str(random.choice(["finite", "finite_or_missing", "float32_or_missing"]))
            ),
            "linear": lambda p=picked, o=operand: Linear(inputs=p, weights=o.reshape(2, 1), bias=np.array([0.5])),
        }[made]()
        refs += graph.add(node)
    program = graph.program({"value": refs[-2:]})
    with duckdb.connect() as connection:
        required = data.draw(st.sampled_from([(), (0,), (0, 1)]))
        held = [np.array([0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, np.nan, 0.1, 1e300, 3.0]), rows(random, 10, 1)[:, 0]]
        check(connection, program, held, required=required, bound=1e-12, scale=1e-3)


# Spark's text is read, and never run here


@pytest.mark.parametrize("head", ["label", "value", "probabilities"])
def test_spark_text_parses(head):
    program = logistic(missing=2.0, unknown=1.0)
    text = sql_text(program, head, ["`a`", "`b`", "`c d`"], "spark", ["no", "it's \\"])
    tree = sqlglot.parse_one(f"SELECT {text}", dialect="spark", error_level=sqlglot.ErrorLevel.RAISE)
    assert {column.name for column in tree.find_all(sqlglot.exp.Column)} - {"__sqlml_1"} == {"a", "b", "c d"}
    assert "::" not in text
    assert "inf'" in text


@pytest.mark.parametrize("function", [name for name in APPLIED if name not in NO_DUCKDB])
def test_spark_functions_parse(function):
    program = over(lambda refs: Apply(inputs=refs, function=function), 1)
    sqlglot.parse_one(f"SELECT {sql_text(program, 'value', ['`a`'], 'spark')}", dialect="spark")
