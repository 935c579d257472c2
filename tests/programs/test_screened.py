"""A screened ensemble gives its sums to the last bit, or an infinity where these are certainly beyond the bound."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.making import ODD, forest, rows, screened
from programs.test_kernel import kernel_of
from programs.test_kernel_splits import columns_of, encoded
from sqlml.programs.certain import leaf_ends
from sqlml.programs.evaluate import evaluate
from sqlml.programs.kernel import ensembles, screens
from sqlml.programs.kernel.layout import What
from sqlml.programs.program import Arithmetic, Program, Screened, from_parts, parts
from sqlml.programs.simplify import prune
from sqlml.programs.sql import NoSql, sql_text


def arrays(columns):
    return [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]


def checked(program, columns, bound, *, below=True, above=True):
    """The share of rows that are decided, every one of them rightly."""
    exact = evaluate(program, columns).heads["value"][:, 0]
    kernel = kernel_of(screened(program, below=below, above=above))
    found = kernel(arrays([*columns, bound])).results[What.VALUE][:, 0]
    slack = 1e-9 * np.maximum(1.0, np.abs(bound))
    with np.errstate(invalid="ignore"):
        low, high = exact < bound - slack, exact > bound + slack
    decided = np.isinf(found) & ~np.isinf(exact)
    np.testing.assert_array_equal(found[~decided], exact[~decided])
    assert (low[decided & (found < 0)]).all()
    assert (high[decided & (found > 0)]).all()
    assert below or not (found[decided] < 0).any()
    assert above or not (found[decided] > 0).any()
    return decided.mean(), kernel


SHAPES = [
    {"trees": 1, "leaves": 1},
    {"trees": 3, "leaves": 2},
    {"trees": 40, "leaves": 31},
    {"trees": 300, "leaves": 9},
    {"trees": 9, "leaves": 64, "deep": True},
    {"trees": 9, "leaves": 200, "deep": True},
    {"trees": 20, "leaves": 40, "categories": 2},
    {"trees": 20, "leaves": 40, "narrow": True},
    {"trees": 9, "leaves": 600, "narrow": True},
    {"trees": 30, "leaves": 12, "sum": "float32", "narrow": True},
    {"trees": 30, "leaves": 12, "sum": "float32", "base_last": True, "divisor": 30.0},
    {"trees": 30, "leaves": 12, "base_last": True, "divisor": 3.0},
    {"trees": 3, "leaves": 2_000},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("walks", [None, True])
def test_sums_or_infinities(shape, walks, monkeypatch):
    if walks is not None and "categories" not in shape:
        monkeypatch.setattr(ensembles, "_prefers_walk", lambda *_: walks)
    random = np.random.default_rng(5)
    program = forest(random, 5, **shape)
    columns = list(rows(random, 5_003, 5).T)
    sums = evaluate(program, columns).heads["value"][:, 0]
    ties = sums.copy()
    ties[::2] += random.choice([0.0, 1e-12, -1e-12, 1e-9, -1e-9, 1e-6, -1e-6], len(ties[::2]))
    checked(program, columns, ties)
    checked(program, columns, random.permutation(sums))
    for bound in (np.quantile(sums, 0.99), np.median(sums), np.quantile(sums, 0.001)):
        checked(program, columns, np.full(len(sums), bound))
        checked(program, columns, np.full(len(sums), bound), above=False)
        checked(program, columns, np.full(len(sums), bound), below=False)
    odd = np.resize(ODD, len(sums))
    checked(program, columns, odd)


@pytest.mark.long
@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    trees=st.integers(1, 40),
    leaves=st.integers(1, 40),
    narrow=st.booleans(),
    total=st.sampled_from(["float32", "float64"]),
    scale=st.sampled_from([1e-300, 1e-6, 1.0, 1e6, 1e300]),
)
def test_any_ensemble(seed, trees, leaves, narrow, total, scale):
    random = np.random.default_rng(seed)
    scale = scale if total == "float64" else max(min(scale, 1e6), 1e-6)
    program = forest(random, 4, trees, leaves=leaves, narrow=narrow, categories=int(random.integers(3)), sum=total)
    node = program.nodes[-1]
    node.leaves[:] *= scale * random.choice([1.0, 1e-3], node.leaves.shape)
    node.base[:] *= scale
    columns = list(rows(random, 700, 4).T)
    sums = evaluate(program, columns).heads["value"][:, 0]
    checked(program, columns, sums)
    checked(program, columns, np.full(len(sums), random.choice(sums)))


@pytest.mark.parametrize("leaf", [np.nan, np.inf, 1e308])
def test_leaves_that_are_no_numbers(leaf):
    random = np.random.default_rng(6)
    program = forest(random, 3, 12, leaves=9)
    program.nodes[-1].leaves[::7] = leaf
    columns = list(rows(random, 500, 3).T)
    for bound in (0.0, np.inf, -np.inf, np.nan, 1e308):
        checked(program, columns, np.full(500, bound))


@pytest.mark.parametrize("options", [{}, {"categories": 4}], ids=str)
def test_columns_of_a_key(options):
    random = np.random.default_rng(7)
    program = encoded(random, 30, trees=40, leaves=15, **options)
    columns = columns_of(random, 30, 5_000)
    sums = evaluate(program, columns).heads["value"][:, 0]
    decided, _ = checked(program, columns, np.full(5_000, np.quantile(sums, 0.95)))
    assert decided > 0.5


def test_nearly_all_rows_are_decided():
    random = np.random.default_rng(8)
    program = forest(random, 5, 100, leaves=31)
    columns = list(random.normal(size=(5, 20_000)))
    sums = evaluate(program, columns).heads["value"][:, 0]
    decided, kernel = checked(program, columns, np.full(20_000, np.quantile(sums, 0.99)))
    assert decided > 0.9
    assert kernel.rows == 20_000
    assert kernel.steps < 1.2 * 20_000 * 100


def test_a_screen_that_decides_nothing_is_left_out():
    random = np.random.default_rng(9)
    program = forest(random, 5, 100, leaves=31)
    columns = list(random.normal(size=(5, 200_000)))
    sums = evaluate(program, [column[:2_000] for column in columns]).heads["value"][:, 0]
    kernel = kernel_of(screened(program))
    far = kernel(arrays([*columns, np.full(200_000, np.nan)]))
    np.testing.assert_array_equal(far.results[What.VALUE][:2_000, 0], sums)
    assert kernel.steps < 1.2 * 200_000 * 100
    kernel.reset()
    assert (kernel.rows, kernel.steps) == (0, 0)
    # It is tried again, and then stays.
    for _ in range(2):
        kernel(arrays([*columns, np.full(200_000, 1e9)]))
    kernel.reset()
    found = kernel(arrays([*columns, np.full(200_000, 1e9)])).results[What.VALUE]
    assert (found == -np.inf).all()
    assert kernel.steps < 0.5 * 200_000 * 100


def test_what_is_open_goes_on_with_its_row():
    random = np.random.default_rng(10)
    program = screened(forest(random, 3, 50, leaves=31))
    doubled = Arithmetic(inputs=program.heads["value"], op="multiply", operand=np.array([2.0]))
    program = Program((*program.nodes, doubled), {"value": ((len(program.nodes), 0),)})
    columns = list(random.normal(size=(3, 3_000)))
    exact = evaluate(program, [*columns, np.zeros(3_000)]).heads["value"][:, 0]
    found = kernel_of(program)(arrays([*columns, np.zeros(3_000)])).results[What.VALUE][:, 0]
    assert ((found == exact) | (found == np.copysign(np.inf, exact))).all()
    assert (found == exact).any()
    assert np.isinf(found).any()


def test_trees_are_counted():
    random = np.random.default_rng(11)
    for leaves in (9, 3_000):
        program = forest(random, 4, 7, leaves=leaves)
        kernel = kernel_of(program)
        for count in (100, 5_000):
            kernel([pa.array(column) for column in random.normal(size=(4, count))])
        assert (kernel.rows, kernel.steps) == (5_100, 7 * 5_100)
    assert kernel.image.steps == kernel.steps


def test_ends_of_trees():
    random = np.random.default_rng(14)
    program = forest(random, 3, 20, leaves=9)
    node = screened(program).nodes[-1]
    lowest, highest = leaf_ends(node)
    for tree, root in enumerate(node.roots):
        held = node.leaves[ensembles._unfold(node, int(root), np.zeros(len(node.feature), bool)).leaves, 0]
        assert (lowest[tree], highest[tree]) == (held.min(), held.max())


def test_the_bound_stays():
    random = np.random.default_rng(12)
    program = prune(screened(forest(random, 9, 2, leaves=3)))
    node = program.nodes[-1]
    assert node.inputs[-1] == (9, 0)
    assert len(node.inputs) < 10
    again = from_parts(*parts(program))
    assert again.digest == program.digest
    assert isinstance(again.nodes[-1], Screened)
    with pytest.raises(NoSql, match="a screened"):
        sql_text(program, "value", [f"x{i}" for i in range(10)])


def test_steps_do_two_nodes_each(monkeypatch):
    random = np.random.default_rng(13)
    seen = []
    monkeypatch.setattr(
        screens._Ops, "placed", lambda self, first, held=screens._Ops.placed: seen.append(self) or held(self, first)
    )
    kernel_of(screened(forest(random, 5, 50, leaves=32)))
    (ops,) = seen
    assert len(ops.rows) < 50 * (31 * 0.65 + 1)
    assert ops.most < 16
