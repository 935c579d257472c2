"""Trees over columns that depend on a key, and numbers that become ranks and keys: to the evaluator's last bit."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.making import ODD, ensemble
from programs.test_kernel import kernel_of, same
from sqlml.programs.kernel import ensembles
from sqlml.programs.kernel.grids import grid_of
from sqlml.programs.program import Arithmetic, Builder, Encode, Guard, OneHot, Replace, Trees

WORDS = [f"word {i}" for i in range(700)]


def encoded(random, count, *, trees, unknown=-2.0, kept=None, **options):
    """Trees over one-hot columns of a word and of a number, over a frequency by word, and over a number."""
    graph = Builder([("word", True), ("n", False), ("x", False)])
    codes, words = np.arange(count, dtype=float), tuple(WORDS[:count])
    code = graph.add(Encode(inputs=graph.input("word"), keys=words, codes=codes, missing=np.nan, unknown=unknown))
    whole = graph.add(
        Encode(inputs=graph.input("n"), keys=np.arange(3.0, 9.0), codes=np.arange(6.0), missing=-1.0, unknown=-2.0)
    )
    hot = graph.add(OneHot(inputs=code, codes=codes)) + graph.add(OneHot(inputs=whole, codes=np.arange(6.0)))
    hot = graph.add(Guard(inputs=hot, rule="float32_or_missing"))
    cold = graph.add(Arithmetic(inputs=hot[:2], op="equal", operand=np.zeros(2)))
    new = np.array([random.normal()])
    often = graph.add(Arithmetic(inputs=code, op="multiply", operand=new))
    often = graph.add(Replace(inputs=often, old=0.0, new=new))
    columns = (*hot, *cold, *often, *code, *graph.input("x"))
    if kept is not None:
        columns = tuple(columns[i] for i in kept(len(columns)))
    held = ensemble(random, len(columns), trees, **options)
    hots = held["feature"] < len(columns) - 3
    held["threshold"][hots & (held["set_of"] < 0)] = 0.5
    return graph.program({"value": graph.add(Trees(inputs=columns, **held))})


def words_of(random, count, rows):
    found = [WORDS[i] for i in random.integers(count, size=rows)]
    return pa.array([None if i % 97 == 5 else "never seen" if i % 89 == 7 else text for i, text in enumerate(found)])


def columns_of(random, count, rows):
    numbers = np.round(random.normal(4, 3, size=rows) * 2) / 2
    numbers[: len(ODD)] = ODD
    return [words_of(random, count, rows), numbers, np.round(random.normal(size=rows), 2)]


SHAPES = [
    {"count": 5, "trees": 20, "leaves": 15},
    {"count": 40, "trees": 30, "leaves": 31, "narrow": True},
    {"count": 700, "trees": 60, "leaves": 31},
    {"count": 700, "trees": 3, "leaves": 900},
    {"count": 12, "trees": 9, "leaves": 31, "categories": 4},
    {"count": 60, "trees": 20, "leaves": 9, "deep": True},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("walks", [None, True, False])
def test_columns_of_a_key(shape, walks, monkeypatch):
    if walks is not None:
        monkeypatch.setattr(ensembles, "_prefers_walk", lambda *_: walks)
    random = np.random.default_rng(3)
    program = encoded(random, **shape)
    same(program, columns_of(random, shape["count"], 2_600))


def test_walks_over_pairs_of_bytes(monkeypatch):
    monkeypatch.setattr(ensembles, "_prefers_walk", lambda *_: True)
    random = np.random.default_rng(4)
    program = encoded(random, 300, trees=12, leaves=400, kept=lambda n: [0, 3, 7, n - 3, n - 1])
    trees = program.nodes[-1]
    x = trees.feature == 4
    trees.threshold[x] = random.normal(size=x.sum())
    assert len(np.unique(trees.threshold[x])) > 255
    same(program, columns_of(random, 300, 2_600))


def test_what_is_refused_stays_refused():
    random = np.random.default_rng(5)
    program = encoded(random, 10, trees=5, leaves=9, unknown=None)
    same(program, columns_of(random, 10, 300))


def test_one_plane_holds_the_one_hot_columns_of_a_key():
    random = np.random.default_rng(6)
    few = kernel_of(encoded(random, 200, trees=5, leaves=9))
    many = kernel_of(encoded(random, 200, trees=300, leaves=31))
    length = [int(repr(kernel.image).split()[2]) for kernel in (few, many)]
    assert length[1] < length[0] + 60


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**9), count=st.integers(1, 400), spread=st.sampled_from(["even", "skewed", "ties", "wide"])
)
def test_ranks_of_any_thresholds(seed, count, spread):
    random = np.random.default_rng(seed)
    draw = {
        "even": lambda n: random.normal(size=n),
        "skewed": lambda n: np.exp(6 * random.normal(size=n)),
        "ties": lambda n: np.round(random.normal(size=n), 1),
        "wide": lambda n: random.choice([-1e308, 1e308, 5e-324, 0.0, 1.0, -1e-300], n) * random.random(n),
    }[spread]
    graph = Builder([("x", False)])
    held = ensemble(random, 1, 8, leaves=max(2, count // 4))
    held["threshold"] = draw(len(held["threshold"]))
    at = held["threshold"]
    program = graph.program({"value": graph.add(Trees(inputs=graph.input("x"), **held))})
    same(program, [np.concatenate([at, np.nextafter(at, -np.inf), np.nextafter(at, np.inf), draw(200), ODD])])


def test_a_grid_spares_steps():
    even = grid_of(np.linspace(0.0, 1.0, 200))
    assert (even.steps, len(even.cells)) == (1, 256)
    assert grid_of(np.concatenate([np.linspace(0.0, 1e-9, 199), [1e9]])).cells is None


KEYS = {
    "near": np.arange(7.0),
    "with gaps": np.array([3.0, -4.0, 9.0]),
    "far": np.array([0.0, 1e6]),
    "halves": np.array([0.5, 1.0, 2.5]),
    "twice": np.array([2.0, 1.0]),
    "infinite": np.array([1.0, np.inf]),
    "huge": np.array([1e300, 2.0]),
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_keys_of_numbers(keys):
    graph = Builder([("n", False)])
    codes = np.arange(len(keys)) + 10.0
    code = graph.add(Encode(inputs=graph.input("n"), keys=keys, codes=codes, missing=9.0, unknown=-1.0))
    around = [np.nextafter(keys, -np.inf), np.nextafter(keys, np.inf), keys + 0.5, keys + 1, keys - 1, -keys]
    same(graph.program({"value": code}), [np.concatenate([keys, *around, ODD])])
