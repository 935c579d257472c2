"""The machine answers as the reference evaluator does: trees to the last bit, sums in another order nearly so."""

import decimal
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.making import ODD, ensemble, forest, numbers, rows
from sqlml.programs.evaluate import evaluate
from sqlml.programs.kernel.image import NotLowered
from sqlml.programs.kernel.layout import APPLY_CODES, Target, What
from sqlml.programs.kernel.loading import machine
from sqlml.programs.kernel.lower import lower
from sqlml.programs.kernel.native import Kernel
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Builder,
    Combine,
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

WHATS = {"value": What.VALUE, "label": What.LABEL, "probabilities": What.PROBABILITIES}


def kernel_of(program, inputs=None, whats=None, *, strict=False):
    given = inputs or [(Target.TEXT if node.text else Target.DOUBLE, False) for node in program.inputs]
    return Kernel(lower(program, whats or [WHATS[name] for name in program.heads], given, strict=strict), machine())


def both(program, columns):
    """What the machine and the evaluator give, refusals included."""
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    answered = kernel_of(program)(arrays)
    expected = evaluate(program, columns)
    assert answered.valid.all()
    return answered, expected


def same(program, columns, *, relative=0.0):
    answered, expected = both(program, columns)
    # Where anything is refused, nothing that was written may be used.
    assert (answered.refused > 0) == bool(expected.refused.any())
    for name, values in expected.heads.items():
        kept = ~expected.refused
        found = answered.results[WHATS[name]][kept]
        if relative:
            np.testing.assert_allclose(found, values[kept], rtol=relative, atol=relative)
        else:
            np.testing.assert_array_equal(found, values[kept])


SHAPES = [
    {"trees": 3, "leaves": 1},
    {"trees": 3, "leaves": 2},
    {"trees": 7, "leaves": 9},
    {"trees": 7, "leaves": 8},
    {"trees": 20, "leaves": 31},
    {"trees": 4, "leaves": 64, "deep": True},
    {"trees": 6, "leaves": 40, "categories": 2},
    {"trees": 6, "leaves": 40, "narrow": True},
    {"trees": 6, "leaves": 20, "width": 3},
    {"trees": 9, "leaves": 20, "outputs": 3},
    {"trees": 3, "leaves": 600},
    {"trees": 3, "leaves": 600, "narrow": True, "width": 2},
    {"trees": 5, "leaves": 12, "sum": "float32", "narrow": True},
    {"trees": 5, "leaves": 600, "sum": "float32", "base_last": True},
    {"trees": 5, "leaves": 12, "divisor": 5.0, "width": 2},
    {"trees": 5, "leaves": 12, "base_last": True, "divisor": 3.0},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_trees_to_the_last_bit(shape):
    random = np.random.default_rng(5)
    program = forest(random, 5, **shape)
    same(program, list(rows(random, 3_001, 5).T))


def test_thresholds_and_their_neighbours():
    random = np.random.default_rng(6)
    for narrow in (False, True):
        graph, columns = numbers(["x"])
        trees = ensemble(random, 1, 12, leaves=10, narrow=narrow)
        program = graph.program({"value": graph.add(Trees(inputs=columns, **trees))})
        at = trees["threshold"]
        f32 = at.astype(np.float32)
        around = [at, np.nextafter(at, -9), np.nextafter(at, 9)]
        around += [np.nextafter(f32, np.float32(-9)).astype(float), np.nextafter(f32, np.float32(9)).astype(float)]
        same(program, [np.concatenate([*around, ODD])])


def test_more_thresholds_than_a_byte_holds():
    random = np.random.default_rng(7)
    for leaves in (200, 1_500):
        graph, columns = numbers(["x", "y"])
        trees = ensemble(random, 2, 4, leaves=leaves)
        trees["threshold"] = random.normal(size=len(trees["threshold"]))
        program = graph.program({"value": graph.add(Trees(inputs=columns, **trees))})
        same(program, [random.normal(size=4_000), random.normal(size=4_000)])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), trees=st.integers(1, 6), leaves=st.integers(1, 90), narrow=st.booleans())
def test_any_forest(seed, trees, leaves, narrow):
    random = np.random.default_rng(seed)
    program = forest(random, 4, trees, leaves=leaves, narrow=narrow, categories=int(random.integers(3)))
    same(program, list(rows(random, 400, 4).T))


def each(columns, **nodes):
    graph, refs = numbers([f"x{i}" for i in range(columns)])
    for make in nodes.values():
        refs = graph.add(make(refs))
    return graph.program({"value": refs})


@pytest.mark.parametrize("function", sorted(APPLY_CODES))
def test_functions(function):
    program = each(1, f=lambda refs: Apply(inputs=refs, function=function))
    values = np.array([*ODD, *np.linspace(-5, 5, 301), 700.0, -745.0])
    same(program, [values], relative=1e-14)


@pytest.mark.parametrize(
    "op", ["add", "subtract", "multiply", "divide", "minimum", "maximum", "equal", "greater", "greater_equal"]
)
@pytest.mark.parametrize("operand", [2.0, 0.0, -1.5])
def test_arithmetic(op, operand):
    same(each(1, f=lambda refs: Arithmetic(inputs=refs, op=op, operand=np.array([operand]))), [np.array(ODD)])


@pytest.mark.parametrize("op", ["sum", "product", "maximum", "minimum", "argmax", "divide", "power", "mean"])
def test_several_become_one(op):
    random = np.random.default_rng(8)
    groups = [[0, 1], [2, 0]] if op in ("divide", "power") else [[0, 1, 2], [2, 1, 0]]
    program = each(3, f=lambda refs: Combine(inputs=refs, op=op, groups=np.array(groups, np.int32)))
    same(program, list(rows(random, 500, 3).T), relative=1e-15)


@pytest.mark.parametrize("function", ["softmax", "normalize"])
def test_links(function):
    random = np.random.default_rng(9)
    columns = list(np.abs(np.round(random.normal(size=(3, 300)), 2)))
    columns[0][:3] = columns[1][:3] = columns[2][:3] = 0.0
    same(each(3, f=lambda refs: Link(inputs=refs, function=function)), columns, relative=1e-14)


def test_the_other_nodes_of_numbers():
    random = np.random.default_rng(10)
    values = rows(random, 500, 3)
    same(each(3, f=lambda refs: Replace(inputs=refs, old=np.nan, new=np.array([1.0, 2.0, 3.0]))), list(values.T))
    same(each(3, f=lambda refs: Replace(inputs=refs, old=0.0, new=np.array([1.0, 2.0, 3.0]))), list(values.T))
    same(
        each(3, f=lambda refs: Median(inputs=refs, weights=np.array([0.2, 0.7, 0.3]))),
        list(random.normal(size=(3, 99))),
    )
    same(each(1, f=lambda refs: OneHot(inputs=refs, codes=np.array([0.0, 0.5, 2.0]))), [np.array(ODD)])
    points = random.normal(size=(4, 3))
    same(
        each(3, f=lambda refs: Distances(inputs=refs, points=points)), list(random.normal(size=(3, 99))), relative=1e-13
    )


@pytest.mark.parametrize("left", [False, True])
def test_pieces(left):
    random = np.random.default_rng(10)
    pieces = {"edges": np.array([-1.0, 0.5, 1.0]), "origins": np.array([-1.0, -1.0, 0.5, 1.0]), "left": left}
    curve = random.normal(size=(4, 2, 3))
    program = each(1, f=lambda refs: Piecewise(inputs=refs, coefficients=curve, **pieces))
    same(program, [np.round(random.normal(size=200), 1)])


@pytest.mark.parametrize("rule", ["finite", "finite_or_missing", "float32", "float32_or_missing"])
def test_guards_refuse(rule):
    for value in ODD:
        program = each(
            1, guard=lambda refs: Guard(inputs=refs, rule=rule), f=lambda refs: Apply(inputs=refs, function="square")
        )
        same(program, [np.array([1.0, value])])


def logistic(width, seed=0, *, rule="finite"):
    random = np.random.default_rng(seed)
    return each(
        width,
        guard=lambda refs: Guard(inputs=refs, rule=rule),
        centred=lambda refs: Arithmetic(inputs=refs, op="subtract", operand=random.normal(size=width)),
        scaled=lambda refs: Arithmetic(inputs=refs, op="divide", operand=random.uniform(0.5, 2.0, width)),
        sum=lambda refs: Linear(inputs=refs, weights=random.normal(size=(width, 1)), bias=np.array([0.1])),
        link=lambda refs: Apply(inputs=refs, function="sigmoid"),
    )


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 29, 700])
def test_weighted_sums(width):
    random = np.random.default_rng(11)
    same(logistic(width), list(random.normal(size=(width, 2_500))), relative=1e-12)


@pytest.mark.parametrize("width", [1, 5])
def test_what_is_not_finite_shows_in_a_sum(width):
    columns = [np.array([1.0, 2.0, 3.0]) for _ in range(width)]
    inputs = [(Target.DOUBLE, True)] * width
    columns[-1] = np.array([1.0, np.nan, 3.0])
    answered = kernel_of(logistic(width), inputs)([pa.array(column) for column in columns])
    assert (answered.refused, answered.valid.tolist()) == (0, [True, False, True])
    strict = kernel_of(logistic(width), inputs, strict=True)([pa.array(column) for column in columns])
    assert strict.refused == 1
    columns[-1] = np.array([1.0, 2.0, np.inf])
    assert kernel_of(logistic(width), inputs)([pa.array(column) for column in columns]).refused == 1


def test_layers_of_units():
    random = np.random.default_rng(12)
    graph, refs = numbers([f"x{i}" for i in range(6)])
    for units in (17, 9):
        refs = graph.add(
            Linear(inputs=refs, weights=random.normal(size=(len(refs), units)), bias=random.normal(size=units))
        )
        refs = graph.add(Apply(inputs=refs, function="relu"))
    refs = graph.add(Linear(inputs=refs, weights=random.normal(size=(9, 3)), bias=np.zeros(3)))
    chances = graph.add(Link(inputs=refs, function="softmax"))
    label = graph.add(Combine(inputs=refs, op="argmax", groups=np.array([[0, 1, 2]], np.int32)))
    same(
        graph.program({"label": label, "probabilities": chances}), list(random.normal(size=(6, 3_000))), relative=1e-12
    )


WORDS = ["a", "", "twelve bytes", "thirteen byte", "Größe", "x" * 500, "b" * 12, "b" * 13, "yes\0no"]


def words_program(*, missing, unknown, fill=None):
    graph = Builder([("word", True), ("x", False)])
    source = graph.input("word")
    if fill is not None:
        source = graph.add(FillText(inputs=source, texts=(fill,)))
    codes = np.arange(len(WORDS), dtype=float)
    code = graph.add(Encode(inputs=source, keys=tuple(WORDS), codes=codes, missing=missing, unknown=unknown))
    hot = graph.add(OneHot(inputs=code, codes=codes))
    weights = np.random.default_rng(3).normal(size=(len(WORDS) + 2, 2))
    total = graph.add(Linear(inputs=(*hot, *code, *graph.input("x")), weights=weights, bias=np.array([0.5, 1.0])))
    return graph.program({"value": (*total, *code)})


@pytest.mark.parametrize("fill", [None, "a", "nobody"])
@pytest.mark.parametrize(("missing", "unknown"), [(-1.0, -2.0), (None, -2.0), (-1.0, None), (None, None)])
def test_categories(missing, unknown, fill):
    program = words_program(missing=missing, unknown=unknown, fill=fill)
    for words in (WORDS, [*WORDS, None], [*WORDS, "never seen"], [None], ["never seen", None, "a"]):
        same(program, [pa.array(words, pa.string()), np.linspace(0, 1, len(words))], relative=1e-14)


def test_categories_that_are_numbers():
    graph = Builder([("n", False)])
    keys = np.array([7.0, -1.0, 2.5, 0.0])
    code = graph.add(Encode(inputs=graph.input("n"), keys=keys, codes=np.arange(4.0), missing=9.0, unknown=-1.0))
    same(graph.program({"value": code}), [np.array([*keys, 8.0, *ODD])])


@pytest.mark.parametrize("rows_", [0, 1, 7, 8, 63, 2_047, 2_048, 2_049, 10_000])
def test_any_number_of_rows(rows_):
    random = np.random.default_rng(13)
    same(forest(random, 3, 4, leaves=12), list(random.normal(size=(3, rows_))))
    same(logistic(3), list(random.normal(size=(3, rows_))), relative=1e-12)


def identity(target=Target.DOUBLE):
    return kernel_of(
        each(1, f=lambda refs: Arithmetic(inputs=refs, op="add", operand=np.array([0.0]))), [(target, True)]
    )


TYPES = [
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.uint8(),
    pa.uint16(),
    pa.uint32(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
]


@pytest.mark.parametrize("type_", TYPES, ids=str)
@pytest.mark.parametrize("offset", [0, 3, 8])
def test_columns_of_each_type(type_, offset):
    array = pa.array([1, None, 3, 4, 5, None, 7, 8, 9, 10, 100, None], type_)[offset:]
    answered = identity()([array])
    found = [
        value if valid else None
        for value, valid in zip(answered.results[What.VALUE][:, 0], answered.valid, strict=True)
    ]
    assert (answered.refused, found) == (0, array.to_pylist())


def test_booleans():
    answered = identity(Target.BOOLEAN)([pa.array([True, None, False, True])[1:]])
    assert (answered.valid.tolist(), answered.results[What.VALUE][1:, 0].tolist()) == ([False, True, True], [0.0, 1.0])


REFUSED = [
    (Target.DOUBLE, pa.array([2**53 + 1])),
    (Target.DOUBLE, pa.array([2**64 - 1], pa.uint64())),
    (Target.INTEGER, pa.array([7.5])),
    (Target.INTEGER, pa.array([2.0**31])),
    (Target.INTEGER, pa.array([2**31])),
    (Target.BIGINT, pa.array([0.1])),
    (Target.BIGINT, pa.array([1e300])),
    (Target.BOOLEAN, pa.array([2])),
    (Target.FLOAT, pa.array([1e300])),
]


@pytest.mark.parametrize(("target", "array"), REFUSED, ids=str)
def test_what_is_no_such_type_is_refused(target, array):
    assert identity(target)([array]).refused == 1
    # Beneath a NULL lies whatever was there before.
    hidden = pa.Array.from_buffers(array.type, 1, [pa.py_buffer(b"\0"), array.buffers()[1]])
    answered = identity(target)([hidden])
    assert (answered.refused, answered.valid.tolist()) == (0, [False])


def test_a_float_argument_is_rounded():
    answered = identity(Target.FLOAT)([pa.array([0.1])])
    assert answered.results[What.VALUE][0, 0] == float(np.float32(0.1))


def test_threads_side_by_side():
    random = np.random.default_rng(14)
    program = forest(random, 5, 30, leaves=31)
    columns = list(rows(random, 20_000, 5).T)
    kernel, expected = kernel_of(program), evaluate(program, columns).heads["value"]
    arrays = [pa.array(column) for column in columns]
    found = [None] * 4

    def ask(i):
        for _ in range(5):
            found[i] = kernel(arrays).results[What.VALUE]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for values in found:
        np.testing.assert_array_equal(values, expected)


def test_only_what_is_asked_is_done():
    random = np.random.default_rng(15)
    graph, refs = numbers(["a", "b"])
    one = graph.add(Linear(inputs=refs, weights=random.normal(size=(2, 1)), bias=np.zeros(1)))
    other = graph.add(Arithmetic(inputs=one, op="greater", operand=np.zeros(1)))
    chance = graph.add(Apply(inputs=one, function="sigmoid"))
    program = graph.program({"label": other, "probabilities": (*chance, *chance)})
    kernel = kernel_of(program, whats=[What.SCORE])
    found = kernel([pa.array([1.0, 2.0]), pa.array([3.0, 4.0])]).results
    assert list(found) == [What.SCORE]
    assert found[What.SCORE].shape == (2, 1)


def test_beyond_the_machine():
    graph, refs = numbers(["x"])
    count = 70_000
    held = {
        "feature": np.zeros(count, np.int32),
        "threshold": np.arange(count, dtype=float),
        "left": ~np.arange(count, dtype=np.int32),
        "right": np.array([*range(1, count), ~count], np.int32),
        "missing_left": np.zeros(count, bool),
        "set_of": np.full(count, -1, np.int32),
        "set_starts": np.zeros(1, np.int32),
        "set_members": np.zeros(0, np.int32),
        "roots": np.zeros(1, np.int32),
        "leaves": np.zeros((count + 1, 1)),
        "output_of": np.zeros(1, np.int32),
        "base": np.zeros(1),
    }
    program = graph.program({"value": graph.add(Trees(inputs=refs, **held))})
    with pytest.raises(NotLowered, match="70000 thresholds"):
        kernel_of(program)


def test_decimals_are_not_for_the_machine():
    assert pa.array([decimal.Decimal("0.1")]).type not in TYPES
