"""What is left of a program for the rows of a query answers them as the whole program does, refusals included."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs import drawing
from programs.making import ensemble, numbers
from programs.modelled import MODELS, columns_of, modelled
from sqlml.programs.evaluate import evaluate
from sqlml.programs.kernel.layout import Target, What
from sqlml.programs.kernel.loading import machine
from sqlml.programs.kernel.lower import lower
from sqlml.programs.kernel.native import Kernel
from sqlml.programs.program import Apply, Arithmetic, Builder, Constant, Encode, Guard, Linear, Node, OneHot, Trees
from sqlml.programs.prune import Domain, shown, specialize
from sqlml.programs.simplify import prune
from sqlml.programs.sql import sql_text


def same(program, domains, columns, *, relative=0.0):
    program = prune(program)
    special = specialize(program, domains)
    assert [node.name for node in special.inputs] == [node.name for node in program.inputs]
    for head in program.heads:
        # Each head alone, as the machine lowers it: a row is refused for what that head needs.
        wanted, found = (evaluate(prune(whole, {head: whole.heads[head]}), columns) for whole in (program, special))
        np.testing.assert_array_equal(found.refused, wanted.refused)
        kept = ~wanted.refused
        np.testing.assert_allclose(
            found.heads[head][kept], wanted.heads[head][kept], rtol=relative, atol=relative, equal_nan=True
        )
    return special


@settings(max_examples=60)
@given(seed=st.integers(0, 10**9), steps=st.integers(1, 14), linear=st.booleans())
def test_any_program(seed, steps, linear):
    random = np.random.default_rng(seed)
    program = drawing.program(random, steps, linear=linear)
    domains = drawing.domains(random)
    same(program, domains, drawing.rows(random, domains), relative=1e-12 if linear else 0.0)


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    program, rows = modelled(name)
    for domains, kept in (
        ({0: Domain(False, ("Dream",))}, rows["island"] == "Dream"),
        ({0: Domain(False, ("Dream", "Torgersen")), 2: Domain(False, None, 40.0, 45.5)}, None),
        ({0: Domain(True, ()), 3: Domain(True, None, high=4.0)}, None),
        ({1: Domain(False, (2008.0,)), 2: Domain(True, ())}, None),
        ({0: Domain(False, ("Atlantis", "Biscoe"))}, None),
    ):
        inside = in_domains(rows, domains)
        assert kept is None or (inside == kept).all()
        same(program, domains, columns_of(program, rows[inside]), relative=1e-12)


def in_domains(rows, domains):
    inside = pd.Series(True, rows.index)
    for place, domain in domains.items():
        column = rows.iloc[:, place]
        present = column.isin(domain.values) if domain.values is not None else column.between(domain.low, domain.high)
        inside &= present | (column.isna() & domain.missing)
    return inside


def counted(program, kind: type[Node]):
    return sum(isinstance(node, kind) for node in program.nodes)


def test_one_category_leaves_a_bias():
    program, rows = modelled("logistic")
    special = same(
        program, {0: Domain(False, ("Dream",))}, columns_of(program, rows[rows.island == "Dream"]), relative=1e-12
    )
    assert (counted(special, OneHot), counted(special, Encode)) == (0, 0)
    assert 0 not in special.used


def test_one_category_shrinks_a_forest():
    program, _ = modelled("forest")
    special = specialize(prune(program), {0: Domain(False, ("Dream",))})
    (before,) = (node for node in program.nodes if isinstance(node, Trees))
    (after,) = (node for node in special.nodes if isinstance(node, Trees))
    assert len(after.roots) == len(before.roots)
    assert len(after.feature) < len(before.feature)
    assert len(after.leaves) == len(after.feature) + len(after.roots)
    assert counted(special, Encode) == 0


def test_a_model_that_answers_one_thing_is_a_constant():
    program, _ = modelled("tree")
    at = {1: (2008.0,), 2: (40.0,), 3: (3.5,)}
    domains = {place: Domain(False, values) for place, values in at.items()} | {0: Domain(False, ("Dream",))}
    special = same(program, domains, [pa.array(["Dream"]), *(np.array(values) for values in at.values())])
    assert [type(node) for node in special.nodes[4:]] == [Constant]


def test_a_row_that_is_refused_no_more_would_be_wrong():
    graph, columns = numbers(["x", "y"])
    guarded = graph.add(Guard(inputs=columns, rule="finite"))
    held = ensemble(np.random.default_rng(1), 2, 1, leaves=2)
    held.update(feature=np.array([0], np.int32), threshold=np.array([1.0]))
    above = graph.add(Arithmetic(inputs=guarded, op="greater", operand=np.array([1.0, 1.0])))
    program = graph.program({"value": (*graph.add(Trees(inputs=guarded, **held)), *above)})
    rows = [np.array([5.0, 7.0]), np.array([1.0, np.inf])]
    special = same(program, {0: Domain(False, None, 5.0, 7.0)}, rows)
    assert 1 in special.used
    assert counted(special, Trees) == 0
    rows = [np.array([8.0, 8.0]), np.array([5.0, 7.0])]
    assert same(program, {0: Domain(False, (8.0,)), 1: Domain(False, None, 5.0, 7.0)}, rows).used == ()


def test_encoders_refuse_what_they_refused():
    graph = Builder([("t", True)])
    given = {"keys": ("a", "b"), "codes": np.arange(2.0), "missing": None, "unknown": None}
    program = graph.program({"value": graph.add(Encode(inputs=graph.input("t"), **given))})
    same(program, {0: Domain(False, ("c",))}, [pa.array(["c"])])
    same(program, {0: Domain(True, ("a",))}, [pa.array(["a", None])])
    same(program, {0: Domain(True, ())}, [pa.array([None], pa.string())])
    assert same(program, {0: Domain(False, ("a",))}, [pa.array(["a"])]).used == ()


def test_a_branch_narrows_what_comes_below_it():
    # x <= 2 (missing: right), and below it on the left x <= 0; with codes 1, 5 and a missing one, nothing is <= 0.
    graph, columns = numbers(["x"])
    held = {
        "feature": np.array([0, 0, 0], np.int32),
        "threshold": np.array([2.0, 0.0, 4.0]),
        "left": np.array([1, ~0, ~2], np.int32),
        "right": np.array([2, ~1, ~3], np.int32),
        "missing_left": np.array([False, True, False]),
        "set_of": np.full(3, -1, np.int32),
        "set_starts": np.zeros(1, np.int32),
        "set_members": np.zeros(0, np.int32),
        "roots": np.zeros(1, np.int32),
        "leaves": np.arange(4.0)[:, None],
        "output_of": np.zeros(1, np.int32),
        "base": np.zeros(1),
    }
    program = graph.program({"value": graph.add(Trees(inputs=columns, **held))})
    rows = [np.array([1.0, 5.0, np.nan])]
    special = same(program, {0: Domain(True, (1.0, 5.0))}, rows)
    assert special.nodes[-1].leaves.ravel().tolist() == [1.0, 3.0]
    special = same(program, {0: Domain(True, None, 1.0, 9.0)}, rows)
    assert special.nodes[-1].leaves.ravel().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_zeros_of_either_sign(value):
    graph, columns = numbers(["x"])
    reciprocal = graph.add(Apply(inputs=graph.add(Apply(inputs=columns, function="negative")), function="reciprocal"))
    program = graph.program({"value": reciprocal})
    same(program, {0: Domain(False, (0.0,))}, [np.array([value])])


def test_float32_rounds_before_it_compares():
    graph, columns = numbers(["x"])
    held = ensemble(np.random.default_rng(1), 1, 1, leaves=2, narrow=True)
    third = float(np.float32(1 / 3))
    held["threshold"] = np.array([third])
    program = graph.program({"value": graph.add(Trees(inputs=columns, **held))})
    above = np.nextafter(third, 1.0)
    special = same(program, {0: Domain(False, None, third, above)}, [np.array([third, above])])
    assert counted(special, Trees) == 0


def test_a_set_of_texts_keeps_its_keys():
    graph = Builder([("t", True)])
    given = {"keys": tuple("abcd"), "codes": np.arange(4.0), "missing": -1.0, "unknown": -2.0}
    code = graph.add(Encode(inputs=graph.input("t"), **given))
    hot = graph.add(OneHot(inputs=code, codes=np.arange(4.0)))
    total = graph.add(Linear(inputs=hot, weights=np.arange(4.0)[:, None] + 1, bias=np.zeros(1)))
    program = graph.program({"value": total})
    special = same(program, {0: Domain(False, ("b", "d", "z"))}, [pa.array(["b", "d", "z"])])
    assert special.nodes[1].keys == ("b", "d")
    assert special.nodes[2].width == 2


@pytest.mark.parametrize("name", ["forest", "logistic", "tree"])
def test_the_machine_and_sql_take_what_is_left(name):
    program, _ = modelled(name)
    row = [pa.array(["Dream"]), *(np.array([value]) for value in (2008.0, 40.0, 3.5))]
    domains = {place: Domain(False, (column[0].item(),)) for place, column in enumerate(row[1:], start=1)}
    for held in ({0: Domain(False, ("Dream",))}, {0: Domain(False, ("Dream",)), **domains}):
        special = specialize(prune(program), held)
        inputs = [(Target.TEXT if node.text else Target.DOUBLE, False) for node in special.inputs]
        kernel = Kernel(lower(special, [What.PROBABILITIES], inputs), machine())
        answered = kernel([pa.array(column) for column in row])
        wanted = evaluate(program, row).heads["probabilities"]
        assert answered.refused == 0
        np.testing.assert_allclose(answered.results[What.PROBABILITIES], wanted, rtol=1e-12)
        for dialect in ("duckdb", "spark"):
            assert sql_text(special, "probabilities", list("abcd"), dialect, [0, 1])


def test_nothing_left():
    program, _ = modelled("tree")
    assert specialize(program, {0: Domain(False, ())}) is program


def test_domains_within_domains():
    assert Domain(True, ("a", "b")).within(Domain(False, ("b", "c"))) == Domain(False, ("b",))
    assert Domain(False, (1.0, 7.0)).within(Domain(True, None, 0.0, 5.0)) == Domain(False, (1.0,), 0.0, 5.0)
    assert Domain(False, None, 3.0).within(Domain(False, None, high=2.0)).nothing
    assert not Domain(True, ()).nothing


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Domain(), "x is anything"),
        (Domain(False), "x is not NULL"),
        (Domain(True, ()), "x is NULL"),
        (Domain(False, ()), "x has no value left"),
        (Domain(False, ("O'Hare",)), "x is 'O''Hare'"),
        (Domain(True, ("a", "b")), "x is 'a' or 'b' or NULL"),
        (Domain(False, tuple("abcdef")), "x is 'a', 'b', 'c', 'd' or 2 more"),
        (Domain(False, None, 3.0, 3.0), "x is 3"),
        (Domain(False, (1.0, 2.5)), "x is 1 or 2.5"),
        (Domain(False, None, 3.0, 500.0), "x is at least 3 and at most 500 and not NULL"),
        (Domain(True, None, high=math.inf, low=-1.5), "x is at least -1.5 or NULL"),
    ],
)
def test_domains_in_words(domain, text):
    assert shown(domain, "x") == text
