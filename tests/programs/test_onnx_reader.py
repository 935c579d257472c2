"""Programs read from ONNX: labels, sums and scores to the last bit, links and probabilities within a bound."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from programs.test_tree_readers import BOTH, HOLED, TEXT, TWO, X, Y
from programs.tree_asking import EXTREMES, asked, at_the_edges, numbers, same
from sqlml.models.description import Argument
from sqlml.models.readers.program import read_program
from sqlml.models.readers.reading import NoReader
from sqlml.programs.program import Guard

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
to_onnx = pytest.importorskip("skl2onnx").to_onnx

NARROW = X.astype(np.float32)
THREE = np.digitize(Y, [-0.5, 0.7])
# A step of float32 beside 1: probabilities come as 1 - p.
STEP = 2e-7


def says(model: Any, feeds: Any) -> list[Any]:
    """onnxruntime's answers on one thread; for a matrix as its only input."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    with np.errstate(all="ignore"):
        given = feeds if isinstance(feeds, dict) else {session.get_inputs()[0].name: feeds.astype(np.float32)}
        return session.run(None, given)


def arguments(width: int = 4) -> list[Argument]:
    return [Argument(name, "DOUBLE", missing="nan") for name, _ in numbers(width)]


def check(model: Any, rows: np.ndarray, *, loose: float = 0.0, few: bool = True) -> None:
    """Each head beside the session's output; `loose` is how far numbers that are no probabilities may be apart."""
    program = read_program(model, arguments(rows.shape[1]))
    rows = at_the_edges(program, rows, 25)
    heads, refused = asked(program, rows)
    if few:
        # Where a sum overflows a label is the model's own to say.
        sane = np.nan_to_num(np.abs(rows)).max(axis=1) < 1e15
        assert refused[sane].mean() < 0.02 or np.isnan(rows[sane & refused]).any(axis=1).all()
    keep = ~refused
    first, *others = says(model, rows[keep])
    if "label" not in heads:
        got = heads["value"][keep]
        np.testing.assert_allclose(got, np.asarray(first, np.float64).reshape(got.shape), rtol=loose, atol=loose)
        return
    classes = classes_of(model)
    same(np.array(classes)[heads["label"][keep].astype(int)], first)
    proba = others[0] if len(others) == 1 else np.column_stack(others)
    if isinstance(proba, list):
        proba = np.array([[row[label] for label in classes] for row in proba])
    np.testing.assert_allclose(heads["probabilities"][keep], proba, rtol=2e-6, atol=max(STEP, loose))


def classes_of(model: Any) -> list[Any]:
    from sqlml.models.readers.onnx_graph import graph_of, roles_of

    return list(roles_of(graph_of(model)).classes or ())


REGRESSORS = {
    "linear": (LinearRegression(), Y),
    "linear of two": (LinearRegression(), BOTH),
    "scaled": (make_pipeline(StandardScaler(), Ridge()), Y),
    "imputed": (make_pipeline(SimpleImputer(), MinMaxScaler(), Ridge()), Y),
    "robust": (make_pipeline(RobustScaler(), MaxAbsScaler(), LinearRegression()), Y),
    "binarized": (make_pipeline(Binarizer(threshold=0.3), LinearRegression()), Y),
    "tree": (DecisionTreeRegressor(max_depth=6), Y),
    "scaled tree": (make_pipeline(StandardScaler(), DecisionTreeRegressor(max_depth=6)), Y),
    "forest": (RandomForestRegressor(30, max_depth=6, random_state=0), Y),
    "many trees": (RandomForestRegressor(150, max_depth=3, random_state=0), Y),
    "forest of two": (RandomForestRegressor(7, max_depth=4, random_state=0), BOTH),
    "boosting": (GradientBoostingRegressor(n_estimators=60), Y),
    "network": (MLPRegressor(hidden_layer_sizes=(9, 5), tol=9.0, random_state=0), Y),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name):
    model, labels = REGRESSORS[name]
    check(to_onnx(model.fit(NARROW, labels), NARROW[:1]), np.vstack([X, HOLED]), few=False)


def test_a_network_of_tanh():
    model = MLPRegressor(hidden_layer_sizes=(9,), activation="tanh", tol=9.0, random_state=0).fit(NARROW, Y)
    check(to_onnx(model, NARROW[:1]), X, loose=2e-6)


CLASSIFIERS = {
    "logistic": (LogisticRegression(), TWO),
    "logistic of texts": (LogisticRegression(), TEXT),
    "scaled": (make_pipeline(StandardScaler(), LogisticRegression()), TWO + 3),
    "normalized": (make_pipeline(Normalizer("l2"), LogisticRegression()), TWO),
    "descent": (SGDClassifier(loss="log_loss", random_state=0), TWO),
    "tree": (DecisionTreeClassifier(max_depth=5), TWO),
    "tree of texts": (DecisionTreeClassifier(max_depth=5), TEXT),
    "stump": (DecisionTreeClassifier(max_depth=1), TWO),
    "forest": (RandomForestClassifier(20, max_depth=5, random_state=0), TWO),
    "forest of texts": (RandomForestClassifier(20, max_depth=5, random_state=0), TEXT),
    "many trees": (RandomForestClassifier(200, max_depth=3, random_state=0), TWO),
    "extra trees": (ExtraTreesClassifier(9, max_depth=4, random_state=0), THREE),
    "boosting": (GradientBoostingClassifier(n_estimators=40), TWO),
    "boosting of three": (GradientBoostingClassifier(n_estimators=20), THREE),
    "imputed forest": (make_pipeline(SimpleImputer(), RandomForestClassifier(9, random_state=0)), TEXT),
    "network": (MLPClassifier((9,), tol=9.0, random_state=0), TWO),
    "network of texts": (MLPClassifier((9, 5), tol=9.0, random_state=0), TEXT),
    "network of tanh": (MLPClassifier((9,), activation="tanh", tol=9.0, random_state=0), THREE),
    "network of logistic": (MLPClassifier((9,), activation="logistic", tol=9.0, random_state=0), TWO),
}


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name, zipmap):
    model, labels = CLASSIFIERS[name]
    held = to_onnx(model.fit(NARROW, labels), NARROW[:1], options={"zipmap": zipmap})
    check(held, np.vstack([X, HOLED]))


ISLANDS = pd.DataFrame(
    {
        "length": HOLED[:, 0].astype(np.float32),
        "width": NARROW[:, 1],
        "island": np.random.default_rng(4).choice(["Torgersen", "Dream", "Biscoe", ""], len(X)),
        "plan": np.random.default_rng(9).choice(["basic", "pro"], len(X)),
        "grade": np.random.default_rng(5).choice([1, 2, 30, -4], len(X)),
        "wet": np.random.default_rng(6).random(len(X)) < 0.4,
    }
)
KINDS = [("length", "FLOAT"), ("width", "FLOAT"), ("island", "VARCHAR"), ("plan", "VARCHAR")]
KINDS += [("grade", "BIGINT"), ("wet", "BOOLEAN")]


ENCODERS = {
    "one hot": OneHotEncoder(handle_unknown="ignore"),
    "ordinal": OrdinalEncoder(),
    "dropped": OneHotEncoder(drop="first"),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("model", [LogisticRegression(), DecisionTreeClassifier(max_depth=6)])
def test_columns_of_every_type(model, encoder):
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["length", "width"]),
            ("texts", ENCODERS[encoder], ["island", "plan"]),
            ("whole", OneHotEncoder(handle_unknown="ignore"), ["grade"]),
            ("flags", "passthrough", ["wet"]),
        ]
    )
    held = to_onnx(make_pipeline(columns, model).fit(ISLANDS, TEXT), ISLANDS[:1])
    given = [Argument(name, type_, missing="nan" if type_ == "FLOAT" else None) for name, type_ in KINDS]
    program = read_program(held, given)
    random = np.random.default_rng(3)
    islands = np.where(random.random(len(X)) < 0.3, "Anvers", "Dream")
    odd = ISLANDS.assign(grade=random.integers(-4, 4, len(X)), island=islands)
    types = {"island": object, "plan": object}
    for rows in (ISLANDS, odd):
        heads, refused = asked(program, rows)
        # An encoder that drops a category refuses an unknown one.
        assert refused.tolist() == ((rows.island == "Anvers") & (encoder == "dropped")).tolist()
        own = says(held, {name: rows[name][~refused].to_numpy(types.get(name))[:, None] for name, _ in KINDS})
        same(np.array(["a", "b", "c"])[heads["label"][~refused].astype(int)], own[0])
        proba = [[row[label] for label in "abc"] for row in own[1]]
        np.testing.assert_allclose(heads["probabilities"][~refused], proba, rtol=2e-6, atol=STEP)


def graph(nodes: list[Any], width: int, outputs: list[Any], **constants: Any) -> Any:
    """A graph of one float32 input `x`."""
    helper = onnx.helper
    made = helper.make_graph(
        [
            helper.make_node(op, given, answers, domain="ai.onnx.ml" if op in ML else "", **attributes)
            for op, given, answers, attributes in nodes
        ],
        "graph",
        [helper.make_tensor_value_info("x", 1, [None, width])],
        [helper.make_tensor_value_info(*one) for one in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9)


ML = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "Normalizer", "Scaler", "LabelEncoder", "LinearRegressor")
SPLITS = {
    "nodes_treeids": [0, 0, 0, 1, 1, 1],
    "nodes_nodeids": [0, 1, 2, 0, 1, 2],
    "nodes_featureids": [0, 0, 0, 1, 0, 0],
    "nodes_values": [0.1, 0.0, 0.0, -0.3, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0, 1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0, 2, 0, 0],
}


@pytest.mark.parametrize("tracks", [None, [0] * 6, [1] * 6])
@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"])
def test_every_kind_of_split(mode, tracks):
    modes = [mode, "LEAF", "LEAF"] * 2
    tracking = {} if tracks is None else {"nodes_missing_value_tracks_true": tracks}
    targets = {"target_treeids": [0, 0, 1, 1], "target_nodeids": [1, 2, 1, 2], "target_ids": [0, 0, 0, 0]}
    weights = {"target_weights": [1.1, 2.7, -0.3, 0.7], "n_targets": 1, "base_values": [0.4]}
    node = {**SPLITS, "nodes_modes": modes, **tracking, **targets, **weights}
    for aggregate in ("SUM", "AVERAGE"):
        given = {**node, "aggregate_function": aggregate}
        if aggregate == "AVERAGE":
            del given["base_values"]
        held = graph([("TreeEnsembleRegressor", ["x"], ["y"], given)], 2, [("y", 1, [None, 1])])
        check(held, np.vstack([HOLED[:, :2], np.full((3, 2), 0.1), np.full((3, 2), -0.3)]), few=False)


@pytest.mark.parametrize("link", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("weights", [[0.1, 0.4, 0.4, 0.2], [-0.1, 0.4, 0.4, -0.9]])
def test_votes_for_one_of_two_classes(weights, link):
    node = {
        **SPLITS,
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
        "class_treeids": [0, 0, 1, 1],
        "class_nodeids": [1, 2, 1, 2],
        "class_ids": [0] * 4,
        "class_weights": weights,
        "classlabels_int64s": [4, 9],
        "post_transform": link,
    }
    for base in ({}, {"base_values": [0.2]}):
        held = graph(
            [("TreeEnsembleClassifier", ["x"], ["l", "p"], {**node, **base})],
            2,
            [("l", 7, [None]), ("p", 1, [None, 2])],
        )
        check(held, HOLED[:, :2])


def test_a_network_as_others_write_it():
    """Gemm with a transposed matrix, and a softmax."""
    random = np.random.default_rng(8)
    first, second = random.normal(size=(7, 4)).astype(np.float32), random.normal(size=(3, 7)).astype(np.float32)
    nodes = [
        ("Flatten", ["x"], ["flat"], {}),
        ("Gemm", ["flat", "first", "b"], ["hidden"], {"transB": 1}),
        ("Relu", ["hidden"], ["held"], {}),
        ("Gemm", ["held", "second"], ["scores"], {"transB": 1}),
        ("Softmax", ["scores"], ["y"], {"axis": -1}),
    ]
    held = graph(nodes, 4, [("y", 1, [None, 3])], first=first, second=second, b=np.float32([0.1] * 7))
    sane = read_program(held, arguments())
    rows = np.clip(X, -3, 3)
    np.testing.assert_allclose(asked(sane, rows)[0]["value"], says(held, rows)[0], rtol=2e-6, atol=STEP)


ELEMENTWISE = {
    "a number": ([("Add", ["x", "c"], ["y"], {})], np.float32(0.1)),
    "a number less": ([("Sub", ["c", "x"], ["y"], {})], np.float32([[0.1]])),
    "a number over": ([("Div", ["c", "x"], ["y"], {})], np.float32([3.0, 0.7])),
    "over a number": ([("Div", ["x", "c"], ["y"], {})], np.float32([[3.0, 0.7]])),
    "itself": ([("Mul", ["x", "x"], ["a"], {}), ("Sub", ["a", "x"], ["y"], {})], np.float32(0)),
    "abs and root": ([("Abs", ["x"], ["a"], {}), ("Sqrt", ["a"], ["y"], {})], np.float32(0)),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_arithmetic_to_the_last_bit(name):
    nodes, constant = ELEMENTWISE[name]
    held = graph(nodes, 2, [("y", 1, [None, 2])], c=constant)
    rows = np.vstack([HOLED[:, :2], np.column_stack([EXTREMES, EXTREMES[::-1]])])
    same(asked(read_program(held, arguments(2)), rows)[0]["value"], says(held, rows)[0])


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_a_row_s_length_to_the_last_bit(norm):
    held = graph([("Normalizer", ["x"], ["y"], {"norm": norm})], 4, [("y", 1, [None, 4])])
    program = read_program(held, arguments())
    rows = at_the_edges(program, np.vstack([X, np.zeros((1, 4))]))
    heads, refused = asked(program, rows)
    with np.errstate(over="ignore"):
        assert refused.tolist() == (~np.isfinite(rows.astype(np.float32)).all(axis=1)).tolist()
    same(heads["value"][~refused], says(held, rows[~refused])[0])


@pytest.mark.parametrize("terms", [1, 2, 3, 8, 31, 100, 256])
@pytest.mark.parametrize("outputs", [1, 3])
def test_sums_to_the_last_bit(terms, outputs):
    random = np.random.default_rng(terms)
    rows = random.normal(size=(300, terms)).astype(np.float32)
    weights = random.normal(size=(terms, outputs)).astype(np.float32)
    nodes = [("MatMul", ["x", "w"], ["product"], {}), ("Add", ["product", "b"], ["y"], {})]
    held = graph(nodes, terms, [("y", 1, [None, outputs])], w=weights, b=random.normal(size=outputs).astype(np.float32))
    got = asked(read_program(held, arguments(terms)), rows.astype(float))[0]["value"]
    same(got.reshape(300, outputs), says(held, rows)[0])


def test_without_a_reader():
    clusters = to_onnx(KMeans(3, n_init=1, random_state=0).fit(NARROW), NARROW[:1])
    with pytest.raises(NoReader, match="ReduceSumSquare"):
        read_program(clusters, arguments())
    wide = graph([("MatMul", ["x", "w"], ["y"], {})], 500, [("y", 1, [None, 1])], w=np.ones((500, 1), np.float32))
    with pytest.raises(NoReader, match="sums of 500"):
        read_program(wide, arguments(500))
    layer = graph([("MatMul", ["x", "w"], ["y"], {})], 50, [("y", 1, [None, 50])], w=np.ones((50, 50), np.float32))
    with pytest.raises(NoReader, match="sums of 50 products, 50 times"):
        read_program(layer, arguments(50))
    with pytest.raises(NoReader, match="an argument of VARCHAR"):
        read_program(
            to_onnx(LinearRegression().fit(NARROW, Y), NARROW[:1]), [Argument("x0", "VARCHAR"), *arguments()[1:]]
        )
    node = {**SPLITS, "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 2, "n_targets": 1, "target_treeids": [0, 0, 1, 1]}
    node |= {"target_nodeids": [1, 2, 1, 2], "target_ids": [0] * 4, "target_weights": [1.0] * 4}
    nodes = [("Tanh", ["x"], ["t"], {}), ("TreeEnsembleRegressor", ["t"], ["y"], node)]
    with pytest.raises(NoReader, match="rounded in a way"):
        read_program(graph(nodes, 2, [("y", 1, [None, 1])]), arguments(2))
    equal = {**node, "nodes_modes": ["BRANCH_EQ", "LEAF", "LEAF"] * 2}
    with pytest.raises(NoReader, match="BRANCH_EQ"):
        read_program(graph([("TreeEnsembleRegressor", ["x"], ["y"], equal)], 2, [("y", 1, [None, 1])]), arguments(2))


def test_a_label_that_hangs_on_rounding_is_the_models_own():
    """Two probabilities that are equal but for the rounding of exp: the row is refused."""
    model = MLPClassifier((3,), tol=9.0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(NARROW, TWO)
    model.coefs_[-1][:] = 1e-9
    model.intercepts_[-1][:] = 0.0
    program = read_program(to_onnx(model, NARROW[:1]), arguments())
    assert asked(program, X)[1].all()
    assert not any(isinstance(node, Guard) for node in program.nodes)
