"""A program and its parts answer as the whole does; what one dimension decides is outside no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs import drawing
from programs.making import ensemble
from programs.modelled import MODELS, columns_of, modelled
from sqlml.programs.cut import cut, is_total
from sqlml.programs.domains import Domain
from sqlml.programs.evaluate import evaluate
from sqlml.programs.program import Apply, Builder, Encode, FillText, Guard, Linear, OneHot, Trees
from sqlml.programs.simplify import prune


def same(program, groups, columns, *, relative=0.0, domains=None):
    program = prune(program)
    found = cut(program, groups, domains or {})
    parts = []
    for part in found.parts:
        assert any(set(part.inputs) <= group for group in groups)
        assert list(part.inputs) == sorted(part.inputs)
        assert [node.name for node in part.program.inputs] == [program.nodes[i].name for i in part.inputs]
        assert is_total(part.program, {i: (domains or {}).get(place, Domain()) for i, place in enumerate(part.inputs)})
        answered = evaluate(part.program, [columns[i] for i in part.inputs])
        assert not answered.refused.any()
        (value,) = answered.heads["value"].T
        parts.append(value)
    names = [node.name for node in program.inputs] + [f"__part{i}" for i in range(len(parts))]
    assert [node.name for node in found.outer.inputs] == names
    # Every part is taken.
    assert set(range(len(program.inputs), len(names))) <= set(found.outer.used)
    for head in program.heads:
        wanted = evaluate(prune(program, {head: program.heads[head]}), columns)
        answered = evaluate(prune(found.outer, {head: found.outer.heads[head]}), [*columns, *parts])
        np.testing.assert_array_equal(answered.refused, wanted.refused)
        kept = ~wanted.refused
        np.testing.assert_allclose(
            answered.heads[head][kept], wanted.heads[head][kept], rtol=relative, atol=relative, equal_nan=True
        )
    return found


GROUPS = [
    [frozenset({0}), frozenset({1, 2})],
    [frozenset({0, 1, 2}), frozenset({3})],
    [frozenset({0, 1, 2, 3, 4, 5})],
    [frozenset()],
]


@settings(max_examples=60)
@given(seed=st.integers(0, 10**9), steps=st.integers(1, 14), linear=st.booleans(), groups=st.sampled_from(GROUPS))
def test_any_program(seed, steps, linear, groups):
    random = np.random.default_rng(seed)
    program = drawing.program(random, steps, linear=linear)
    same(program, groups, drawing.rows(random, {}), relative=1e-12 if linear else 0.0)


@pytest.mark.parametrize("groups", [[frozenset({0})], [frozenset({0, 1}), frozenset({2})], [frozenset(range(4))]])
@pytest.mark.parametrize("name", MODELS)
def test_models(name, groups):
    program, rows = modelled(name)
    same(program, groups, columns_of(program, rows), relative=1e-12)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("logistic", ["sum"]),
        ("multinomial", ["code"]),
        ("gamma", ["sum"]),
        ("layers", ["code"]),
        ("forest", ["code"]),
        ("boosting", ["code"]),
        ("lightgbm", ["code"]),
    ],
)
def test_models_of_texts_that_are_known(name, kinds):
    program, rows = modelled(name)
    rows = rows[rows["island"].isin(["Dream", "Biscoe", "Torgersen"])]
    domains = {0: Domain(False, ("Dream", "Biscoe", "Torgersen"))}
    found = same(program, [frozenset({0, 1})], columns_of(program, rows), relative=1e-12, domains=domains)
    assert [part.kind for part in found.parts] == kinds
    assert 0 not in found.outer.used


@settings(max_examples=30)
@given(seed=st.integers(0, 10**9), steps=st.integers(1, 14), groups=st.sampled_from(GROUPS))
def test_any_program_in_domains(seed, steps, groups):
    random = np.random.default_rng(seed)
    program = drawing.program(random, steps)
    domains = drawing.domains(random)
    same(program, groups, drawing.rows(random, domains), domains=domains)


def words(graph, name, *, missing=-1.0, unknown=-1.0):
    keys = ("AA", "UA", "DL")
    given = {"keys": keys, "codes": np.arange(3.0), "missing": missing, "unknown": unknown}
    return graph.add(Encode(inputs=graph.input(name), **given))


def total(graph, columns, width=1):
    weights = np.random.default_rng(1).normal(size=(len(columns), width))
    return graph.add(Linear(inputs=columns, weights=weights, bias=np.ones(width)))


def hot(graph, code):
    return graph.add(OneHot(inputs=code, codes=np.arange(3.0)))


def asked(program, groups, *, relative=1e-12):
    return same(program, groups, drawing.rows(np.random.default_rng(2), {}), relative=relative)


def test_a_sum_a_dimension():
    graph = Builder(drawing.INPUTS)
    x = graph.add(Guard(inputs=graph.input("x"), rule="finite"))
    columns = (*hot(graph, words(graph, "t")), *x, *hot(graph, words(graph, "u")), *graph.input("y"))
    program = graph.program({"value": graph.add(Apply(inputs=total(graph, columns), function="sigmoid"))})
    found = asked(program, [frozenset({0, 3}), frozenset({1, 2})])
    assert [(part.kind, part.inputs) for part in found.parts] == [("sum", (0, 3)), ("sum", (1,))]
    # What may refuse a row stays.
    assert found.outer.used == (2, 6, 7)
    assert not is_total(found.outer)


def test_more_outputs_than_inputs_take_the_code():
    graph = Builder(drawing.INPUTS)
    columns = (*hot(graph, words(graph, "t", missing=float("nan"))), *graph.input("x"))
    program = graph.program({"value": total(graph, columns, 3)})
    found = asked(program, [frozenset({0})])
    assert [part.kind for part in found.parts] == ["code"]
    assert found.outer.used == (2, 6)
    (coded,) = (node for node in found.outer.nodes if isinstance(node, Encode))
    assert coded.keys.tolist() == coded.codes.tolist() == [-1.0, 0.0, 1.0, 2.0]


def test_two_outputs_and_two_texts_take_two_sums():
    graph = Builder(drawing.INPUTS)
    columns = (*hot(graph, words(graph, "t")), *hot(graph, words(graph, "u")), *graph.input("x"))
    found = asked(graph.program({"value": total(graph, columns, 2)}), [frozenset({0, 1, 2})])
    # A number that may be infinite is in no sum of several.
    assert [(part.kind, part.inputs) for part in found.parts] == [("sum", (0, 1))] * 2
    assert found.outer.used == (2, 6, 7)


def test_trees_take_codes():
    graph = Builder(drawing.INPUTS)
    filled = graph.add(FillText(inputs=graph.input("u"), texts=("UA",)))
    given = {"keys": ("AA", "UA"), "codes": np.array([1.0, 0.0]), "missing": None, "unknown": -1.0}
    code = graph.add(Encode(inputs=filled, **given))
    columns = (*words(graph, "t"), *code, *graph.input("x"), *graph.input("y"))
    trees = ensemble(np.random.default_rng(4), 4, 5, leaves=9, categories=1)
    program = graph.program({"value": graph.add(Trees(inputs=columns, **trees))})
    found = asked(program, [frozenset({0, 2}), frozenset({1})], relative=0.0)
    assert sorted((part.kind, part.inputs) for part in found.parts) == [("code", (0,)), ("code", (1,))]
    assert not {0, 1} & set(found.outer.used)
    assert is_total(found.outer)


def test_an_answer_that_one_dimension_decides():
    graph = Builder(drawing.INPUTS)
    program = graph.program({"value": total(graph, hot(graph, words(graph, "t")))})
    found = asked(program, [frozenset({0, 1})])
    assert [part.kind for part in found.parts] == ["column"]
    assert found.outer.used == (6,)


def test_a_text_that_may_be_refused_stays():
    graph = Builder(drawing.INPUTS)
    columns = (*words(graph, "t", unknown=None), *words(graph, "t"), *graph.input("x"))
    trees = ensemble(np.random.default_rng(4), 3, 5, leaves=9)
    found = asked(graph.program({"value": graph.add(Trees(inputs=columns, **trees))}), [frozenset({0})], relative=0.0)
    assert found.parts == ()
    assert found.outer.used == (0, 2)


def test_what_is_total():
    graph = Builder(drawing.INPUTS)
    code = words(graph, "t")
    # A guard over what is never infinite refuses nothing.
    guarded = graph.add(Guard(inputs=hot(graph, code), rule="finite"))
    assert is_total(graph.program({"value": guarded}))
    assert not is_total(graph.program({"value": words(graph, "u", missing=None)}))
    assert not is_total(graph.program({"value": graph.add(Guard(inputs=graph.input("x"), rule="finite"))}))
