"""A comparison of a margin with the ends of `around` is the comparison of the answer with its bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs import drawing
from programs.making import forest, numbers
from programs.modelled import MODELS, columns_of, modelled
from sqlml.programs.domains import Domain
from sqlml.programs.evaluate import evaluate
from sqlml.programs.margin import implied, margin
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Builder,
    Combine,
    Constant,
    Encode,
    Guard,
    Linear,
    Link,
    OneHot,
    Replace,
)
from sqlml.programs.simplify import prune


def behind(*makers):
    """A weighted sum of x that is x, and steps behind it."""
    graph, refs = numbers(["x"])
    refs = graph.add(Linear(inputs=refs, weights=np.ones((1, 1)), bias=np.zeros(1)))
    for make in makers:
        refs = make(graph, refs)
    return graph.program({"value": refs})


def apply(function):
    return lambda graph, refs: graph.add(Apply(inputs=refs, function=function))


def arithmetic(op, operand):
    return lambda graph, refs: graph.add(Arithmetic(inputs=refs, op=op, operand=np.full(len(refs), operand)))


def both_of(sign):
    def make(graph, refs):
        negative = graph.add(Apply(inputs=refs, function="negative"))
        return graph.add(Link(inputs=(*negative, *refs)[::sign], function="softmax"))[1:]

    return make


def beside_zero(graph, refs):
    return graph.add(Link(inputs=(*graph.add(Constant(values=np.zeros(1))), *refs), function="softmax"))[1:]


def normalized(graph, refs):
    rest = arithmetic("add", 1.0)(graph, apply("negative")(graph, refs))
    return graph.add(Link(inputs=(*rest, *refs), function="normalize"))[1:]


def alone(graph, refs):
    return graph.add(Combine(inputs=refs, op="mean", groups=np.zeros((1, 1), np.int32)))


def guard(graph, refs):
    return graph.add(Guard(inputs=refs, rule="finite"))


# As XGBoost computes it: each step is rounded to float32.
XGBOOST = [
    apply("negative"),
    arithmetic("minimum", 88.7),
    apply("exp"),
    apply("float32"),
    arithmetic("add", 1.0),
    apply("float32"),
    apply("reciprocal"),
    apply("float32"),
]

CHAINS = {
    "nothing": ([], True),
    "sigmoid": ([apply("sigmoid")], True),
    "complement": ([apply("sigmoid"), apply("negative"), arithmetic("add", 1.0)], False),
    "exp": ([apply("exp")], True),
    "expm1": ([guard, apply("expm1")], True),
    "log": ([apply("log")], True),
    "square root": ([apply("sqrt"), apply("negative")], False),
    "log1p": ([apply("log1p")], True),
    "tanh": ([apply("tanh"), arithmetic("multiply", -3.0)], False),
    "cbrt": ([apply("cbrt"), arithmetic("divide", 2.0)], True),
    "normal": ([apply("normal_cdf")], True),
    "clipped": ([arithmetic("maximum", -1.0), arithmetic("minimum", 1.0), arithmetic("add", 1.0)], True),
    "float32": ([apply("float32"), arithmetic("subtract", 0.1)], True),
    "xgboost": (XGBOOST, True),
    "softmax": ([both_of(1)], True),
    "softmax of the other": ([both_of(-1)], False),
    "softmax beside zero": ([beside_zero], True),
    "normalized": ([apply("sigmoid"), normalized], True),
    "alone": ([apply("sigmoid"), alone], True),
}
BOUNDS = [-math.inf, -1.0, -0.5, 0.0, 1e-300, 1e-16, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-9, 1 - 1e-16, 1.0, 1.5, 2.0, 1e300]


def neighbours(low, high):
    """Numbers near the ends, outside of them, and some far from them."""
    found = []
    for end, side in ((low, -1.0), (high, 1.0)):
        if math.isfinite(end):
            near = [np.nextafter(end, side * np.inf)]
            for _ in range(20):
                near.append(np.nextafter(near[-1], side * np.inf))
            found += near
            if abs(end) < 1e300:
                found += (end + side * np.geomspace(1e-12, 1e3, 60) * max(1.0, abs(end))).tolist()
    return np.array(
        [
            *(value for value in found if math.isfinite(value)),
            *np.linspace(-60, 60, 241),
            -1e300,
            1e300,
            1e-300,
            -1e-300,
        ]
    )


@pytest.mark.parametrize("name", CHAINS)
def test_sides(name):
    makers, rising = CHAINS[name]
    program = behind(*makers)
    found = margin(program, program.heads["value"])
    assert (found.increasing, found.linear, found.trees) == (rising, True, False)
    for bound in [*BOUNDS, *np.random.default_rng(3).uniform(-1, 3, 15)]:
        sides(program, found, bound)


def sides(program, found, bound):
    low, high = found.around(bound)
    assert low <= high
    at = neighbours(low, high)
    answers = evaluate(program, [at]).heads["value"][:, 0]
    first, second = answers[at < low], answers[at > high]
    less, more = (first, second) if found.increasing else (second, first)
    assert (less < bound).all()
    assert (more > bound).all()
    # What a slack leaves open is little.
    if math.isfinite(low) and math.isfinite(high) and -20 < low < 20 and 1e-6 < abs(bound) < 1 - 1e-6:
        near = evaluate(program, [np.array([low, high])]).heads["value"][:, 0]
        assert np.isclose(near, bound, rtol=1e-4, atol=1e-4).all()


def test_bounds_that_no_answer_reaches():
    program = behind(apply("sigmoid"))
    found = margin(program, program.heads["value"])
    assert found.around(1.5) == (math.inf, math.inf)
    assert found.around(-0.5) == (-math.inf, -math.inf)
    assert found.around(math.nan) == (-math.inf, math.inf)
    low, high = found.around(1.0)
    # Where engines may round to 1.0 nothing is certain.
    assert 25 < low < 37
    assert high == math.inf
    falling = behind(*CHAINS["complement"][0])
    assert margin(falling, falling.heads["value"]).around(1.5) == (-math.inf, -math.inf)


STEPS = [
    *map(apply, ("sigmoid", "exp", "tanh", "negative", "float32", "cbrt", "normal_cdf", "relu", "expm1", "reciprocal")),
    *(arithmetic(op, value) for op in ("add", "multiply", "divide", "subtract") for value in (2.0, -0.3)),
    both_of(1),
    beside_zero,
]


@settings(max_examples=40)
@given(chosen=st.lists(st.sampled_from(STEPS), min_size=1, max_size=5), bound=st.floats(-3, 3))
def test_any_chain(chosen, bound):
    program = behind(*chosen)
    found = margin(program, program.heads["value"])
    if found is None:
        return
    # The margin may be a column on the way, where 1/x is cut off: its own values are what is compared.
    x = np.concatenate([np.linspace(-9, 9, 400), neighbours(*found.around(bound))])
    answers = evaluate(program, [x]).heads["value"][:, 0]
    at = evaluate(found.program, [x]).heads["value"][:, 0]
    low, high = found.around(bound)
    finite = np.isfinite(at)
    first, second = answers[finite & (at < low)], answers[finite & (at > high)]
    less, more = (first, second) if found.increasing else (second, first)
    assert (less < bound).all()
    assert (more > bound).all()


KINDS = {
    "logistic": "linear",
    "gamma": "linear",
    "tree": "trees",
    "forest": "trees",
    "histogram": "trees",
    "ordinal": "trees",
    "boosting": "trees",
    "two_classes": "trees",
}


@pytest.mark.parametrize("name", KINDS)
def test_models(name):
    program, rows = modelled(name)
    program = prune(program)
    head = "value" if "value" in program.heads else "probabilities"
    found = margin(program, program.heads[head][-1:])
    assert (found.linear, found.trees) == (KINDS[name] == "linear", KINDS[name] == "trees")
    assert len(found.program.inputs) == len(program.inputs)
    columns = columns_of(program, rows)
    answered, at = evaluate(program, columns), evaluate(found.program, columns)
    answers, at = answered.heads[head][:, -1], at.heads["value"][:, 0]
    kept = ~answered.refused
    for bound in [*np.quantile(answers[kept], [0.0, 0.1, 0.5, 0.9, 1.0]), 0.5, 0.0, 1.0]:
        low, high = found.around(float(bound))
        assert (answers[kept & (at < low)] < bound).all()
        assert (answers[kept & (at > high)] > bound).all()
        assert (kept & (at >= low) & (at <= high) & ~np.isclose(answers, bound)).sum() == 0


def test_no_margin():
    program, _ = modelled("multinomial")
    assert margin(program, program.heads["probabilities"]) is None
    assert margin(program, program.heads["probabilities"][-1:]) is None
    assert margin(program, program.heads["label"]) is None


def test_a_margin_of_something_else():
    program, _ = modelled("layers")
    assert margin(program, program.heads["probabilities"][-1:]) is None
    graph, refs = numbers(["x", "y"])
    total = graph.add(Combine(inputs=refs, op="sum", groups=np.array([[0, 1]], np.int32)))
    program = graph.program({"value": graph.add(Apply(inputs=total, function="sigmoid"))})
    found = margin(program, program.heads["value"])
    assert (found.linear, found.trees) == (False, False)
    assert found.program.heads["value"] == ((2, 0),)


def test_one_column_of_trees():
    program = forest(np.random.default_rng(2), 3, 6, leaves=5, width=2)
    found = margin(program, program.heads["value"][-1:])
    assert found.trees
    assert found.program.nodes[-1].width == 1


def test_a_guard_that_may_refuse_is_no_step():
    program = behind(apply("exp"), guard, apply("log"))
    found = margin(program, program.heads["value"])
    assert not found.linear
    assert evaluate(found.program, [np.array([1.0, 1e4])]).refused.tolist() == [False, True]


def scaled(random, operands):
    """A weighted sum of a text, in columns of its own, and three numbers, two of them guarded and scaled."""
    graph = Builder(drawing.INPUTS)
    given = {"keys": ("AA", "UA", "DL"), "codes": np.arange(3.0), "missing": -1.0, "unknown": -1.0}
    hot = graph.add(
        OneHot(inputs=graph.add(Encode(inputs=graph.input("t"), **given)), codes=np.array([0.0, 1.0, 2.0, -1.0]))
    )
    guarded = graph.add(Guard(inputs=(*graph.input("x"), *graph.input("y")), rule="finite"))
    moved = graph.add(Arithmetic(inputs=guarded, op="subtract", operand=operands[:2]))
    divided = graph.add(Arithmetic(inputs=moved, op="divide", operand=operands[2:]))
    weights = np.round(random.normal(size=(7, 1)), 2)
    columns = (*hot, *divided, *graph.input("z"))
    total = graph.add(Linear(inputs=columns, weights=weights, bias=np.array([0.25])))
    return graph.program({"value": graph.add(Guard(inputs=total, rule="finite_or_missing"))})


@settings(max_examples=40)
@given(seed=st.integers(0, 10**9), low=st.floats(-5, 5))
def test_ranges(seed, low):
    random = np.random.default_rng(seed)
    program = scaled(random, np.array([0.5, 1.0, *random.choice([0.5, 2.0, -4.0], 2)]))
    domains = {place: Domain(False, None, -2.0, 3.0) for place in (2, 3, 4)}
    if random.integers(2):
        domains[0] = Domain(False, ("UA", "AA"))
    found = implied(program, low, domains)
    columns = [np.asarray(column) if i > 1 else column for i, column in enumerate(drawing.rows(random, domains, 4000))]
    columns[2:5] = random.uniform(-2.0, 3.0, (3, 4000))
    reach = evaluate(program, columns).heads["value"][:, 0] >= low
    for place, (least, most) in found.items():
        inside = (columns[place] >= least) & (columns[place] <= most)
        assert inside[reach].all()
        assert least > -2.0 or most < 3.0


def test_what_says_nothing():
    program = scaled(np.random.default_rng(1), np.ones(4))
    domains = {place: Domain(False, None, -2.0, 3.0) for place in (2, 3, 4)}
    assert set(implied(program, 3.0, domains)) == {2, 3, 4}
    # One that may be missing, or is without an end, is told of by the others, and tells nothing of them.
    assert set(implied(program, 3.0, domains | {3: Domain(True, None, -2.0, 3.0)})) == {3}
    assert set(implied(program, 3.0, domains | {3: Domain(False)})) == {3}
    assert implied(program, 3.0, {}) == {}
    assert implied(program, -100.0, domains) == {}
    ranges = implied(program, 100.0, domains)
    assert all(least > most for least, most in ranges.values())


def test_what_is_no_sum():
    program = forest(np.random.default_rng(2), 3, 6, leaves=5)
    assert implied(program, 0.0, {}) == {}
    graph, refs = numbers(["x", "y"])
    filled = graph.add(Replace(inputs=refs[:1], old=math.nan, new=np.zeros(1)))
    total = graph.add(Linear(inputs=(*filled, *refs[1:]), weights=np.ones((2, 1)), bias=np.zeros(1)))
    program = graph.program({"value": total})
    # x is no plain number, but has a most.
    ((place, (least, _)),) = implied(program, 1.0, {0: Domain(True, None, -5.0, 2.0)}).items()
    assert (place, round(least, 6)) == (1, -1.0)


def test_logistic_regression_says_what_numbers_it_needs():
    program, rows = modelled("logistic")
    program = prune(program)
    found = margin(program, program.heads["probabilities"][-1:])
    _, high = found.around(0.8)
    rows = rows[rows["island"].notna() & np.isfinite(rows.iloc[:, 1:]).all(axis=1)]
    domains = {0: Domain(False)} | {
        place: Domain(False, None, float(rows.iloc[:, place].min()), float(rows.iloc[:, place].max()))
        for place in (1, 2, 3)
    }
    ranges = implied(found.program, high, domains)
    assert set(ranges) >= {3}
    likely = evaluate(program, columns_of(program, rows)).heads["probabilities"][:, -1] > 0.8
    assert likely.any()
    for place, (least, most) in ranges.items():
        assert rows.iloc[:, place][likely].between(least, most).all()


def test_every_model_is_asked():
    assert set(KINDS) | {"multinomial", "layers", "lightgbm"} == set(MODELS)
