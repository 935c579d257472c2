"""XGBoost's models as programs, from the JSON that a Booster saves: all of its arithmetic is in float32."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.models.readers.tree_arrays import Tree, joined, numbered

# With it comes the library itself, which is there where one of its models is.
from sqlml.models.readers.xgboost import _categories as categories_of
from sqlml.programs.program import Apply, Arithmetic, Builder, Combine, Encode, Floats, Guard, Ref, Replace

Data: TypeAlias = dict[str, Any]


def booster(reading: Reading, model: Any, columns: Columns) -> Answers:
    """A raw Booster: its numbers, which are probabilities where its objective is one of classes."""
    learner = _learner(model)
    # It is asked through a DMatrix, which refuses what is infinite.
    guarded = reading.graph.add(Guard(inputs=_encoded(reading.graph, model, columns), rule="float32_or_missing"))
    margins = _margins(reading.graph, model, learner, guarded, (0, 0), inplace=False)
    objective = str(learner["objective"]["name"])
    value = _linked(reading.graph, objective, margins)
    if objective == "binary:logistic" and len(value) == 1:
        return Answers(value=value, probabilities=_both(reading.graph, value), classes=[0, 1])
    if objective == "multi:softprob":
        return Answers(value=value, probabilities=value, classes=list(range(len(value))))
    return Answers(value=value)


def regressor(reading: Reading, model: Any, columns: Columns) -> Answers:
    """XGBRegressor, XGBRFRegressor, XGBRanker and XGBModel: what their Booster answers."""
    margins, objective = _asked(reading, model, columns)
    return Answers(value=_linked(reading.graph, objective, margins))


def classifier(reading: Reading, model: Any, columns: Columns) -> Answers:
    """XGBClassifier and XGBRFClassifier."""
    graph = reading.graph
    margins, objective = _asked(reading, model, columns)
    classes = list(range(int(model.n_classes_)))
    if objective in ("multi:softmax", "multi:softprob"):
        # For the first it asks scipy for the probabilities, which computes them in float32 too.
        probabilities = _softmax(graph, margins)
        label = _largest(graph, margins if objective == "multi:softmax" else probabilities)
        return Answers(label=label, probabilities=probabilities, decision=margins, classes=classes)
    if len(margins) != 1 or len(classes) != 2:
        raise NoReader(type(model).__name__, "more than one label a row")
    value = _linked(graph, objective, margins)
    if objective in ("binary:logistic", "reg:logistic"):
        label = graph.add(Arithmetic(inputs=margins, op="greater_equal", operand=np.array([_least_of_one()])))
    else:
        label = graph.add(Arithmetic(inputs=value, op="greater", operand=np.array([0.5])))
    return Answers(label=label, probabilities=_both(graph, value), decision=margins, classes=classes)


def _asked(reading: Reading, model: Any, columns: Columns) -> tuple[Columns, str]:
    """The margins and the objective of a scikit-learn class, which predicts in place up to its best iteration."""
    if callable(model.objective):
        raise NoReader(type(model).__name__, "a custom objective")
    graph, held = reading.graph, model.get_booster()
    learner = _learner(held)
    encoded = _encoded(graph, held, columns)
    missing = float(model.missing)
    if math.isinf(missing):
        raise NoReader(type(model).__name__, "infinity stands for missing")
    if not math.isnan(missing):
        encoded = graph.add(Apply(inputs=encoded, function="float32"))
        old = float(np.float32(missing))
        encoded = graph.add(Replace(inputs=encoded, old=old, new=np.full(len(encoded), np.nan)))
    span = model._get_iteration_range(None)
    margins = _margins(graph, held, learner, encoded, span, inplace=True)
    return margins, str(learner["objective"]["name"])


def _learner(model: Any) -> Data:
    learner: Data = json.loads(bytes(model.save_raw("json")))["learner"]
    return learner


def _margins(
    graph: Builder, model: Any, learner: Data, columns: Columns, span: tuple[int, int], *, inplace: bool
) -> Columns:
    """The sums of the leaves, from the base score on, in float32 and in the order of the trees."""
    held = learner["gradient_booster"]
    if held["name"] == "gblinear":
        raise NoReader("Booster", "gblinear")
    forest = (held["gbtree"] if held["name"] == "dart" else held)["model"]
    base = _base(model, learner, forest)
    first, last = span
    starts = forest["iteration_indptr"]
    places = range(starts[first], starts[last if last else len(starts) - 1])
    encoded, floors = list(columns), dict[int, int]()
    trees = []
    for place in places:
        tree = _tree(forest["trees"][place], int(forest["tree_info"][place]), len(columns), floors)
        if held["name"] == "dart":
            weight = np.float32(held["weight_drop"][place])
            leaves = tree.leaves.astype(np.float32)
            if inplace:
                # There each tree is answered with the base score, which is then taken away again.
                start = np.float32(base[tree.output])
                leaves = (leaves + start) - start
            tree = replace(tree, leaves=(leaves * weight).astype(np.float64))
        trees.append(tree)
    for feature in floors:
        encoded += graph.add(Apply(inputs=_rounded(graph, (columns[feature],)), function="floor"))
    return graph.add(joined(trees, tuple(encoded), base, every_column=not inplace, compare="float32", total="float32"))


def _tree(tree: Data, output: int, width: int, floors: dict[int, int]) -> Tree:
    found = numbered(tree["left_children"], tree["right_children"])
    conditions = np.array(tree["split_conditions"], np.float32)
    feature = np.array(tree["split_indices"], np.int64)[found.splits]
    categorical = np.array(tree["split_type"], np.int64)[found.splits] == 1
    thresholds = conditions[found.splits]
    if not np.isfinite(thresholds[~categorical]).all():
        raise NoReader("Booster", "a split at infinity")
    sets, left, right = {}, found.left, found.right
    missing_left = np.array(tree["default_left"], bool)[found.splits]
    if categorical.any():
        members = _categories(tree)
        sets = {int(i): members[int(found.splits[i])] for i in np.flatnonzero(categorical)}
        # A member goes right, and what is no category goes left.
        left, right = np.where(categorical, right, left), np.where(categorical, left, right)
        missing_left = missing_left ^ categorical
        # Between -1 and 0 there is no category, though it is 0 when cut.
        for one in np.unique(feature[categorical]).tolist():
            floors.setdefault(one, width + len(floors))
        feature = np.array(
            [floors[f] if c else f for f, c in zip(feature.tolist(), categorical, strict=True)], np.int64
        )
    leaves = conditions[found.leaves, None].astype(np.float64)
    size = int(tree["tree_param"].get("size_leaf_vector", "1"))
    if size > 1:
        if "leaf_weights" not in tree:
            raise NoReader("Booster", "trees of several outputs, of an old version")
        # Its leaves have their place among the vectors where others have their right child.
        vectors = np.array(tree["leaf_weights"], np.float32).reshape(-1, size)
        leaves = vectors[np.array(tree["right_children"])[found.leaves]].astype(np.float64)
    return Tree(
        feature=feature,
        # It goes left below the threshold: at or below the float32 before it.
        threshold=np.where(categorical, 0.0, np.nextafter(thresholds, np.float32(-np.inf)).astype(np.float64)),
        left=left,
        right=right,
        missing_left=missing_left,
        leaves=leaves,
        output=output if size <= 1 else -1,
        sets=sets,
    )


def _categories(tree: Data) -> dict[int, Sequence[int]]:
    segments = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    return {node: tree["categories"][start : start + size] for node, start, size in segments}


def _base(model: Any, learner: Data, forest: Data) -> Floats:
    """The margins of no tree, which the library itself is asked for: its logarithm rounds in a way of its own."""
    size = max(1, int(forest["trees"][0]["tree_param"].get("size_leaf_vector", "1"))) if forest["trees"] else 1
    features = int(learner["learner_model_param"]["num_feature"])
    one: Data = {name: [0] for name in ("default_left", "right_children", "split_indices", "split_type", "id")}
    one |= {name: [0.0] for name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian")}
    one |= {name: [] for name in ("categories", "categories_nodes", "categories_segments", "categories_sizes")}
    one |= {"id": 0, "left_children": [-1], "parents": [2147483647]}
    one["tree_param"] = {"num_deleted": "0", "num_feature": str(features), "num_nodes": "1"}
    one["tree_param"]["size_leaf_vector"] = str(size)
    if size > 1:
        one |= {"leaf_weights": [0.0] * size, "base_weights": [0.0] * size}
    else:
        one["right_children"] = [-1]
    parameters = {**forest["gbtree_model_param"], "num_trees": "1"}
    stump = {**forest, "trees": [one], "tree_info": [0], "iteration_indptr": [0, 1], "gbtree_model_param": parameters}
    made = {**learner, "gradient_booster": {"name": "gbtree", "model": stump}}
    alone = type(model)()
    alone.load_model(bytearray(json.dumps({"learner": made, "version": [3, 0, 0]}).encode()))
    alone.set_param({"nthread": 1})
    margins = alone.inplace_predict(np.zeros((1, features)), predict_type="margin", validate_features=False)
    return np.asarray(margins, np.float64).reshape(-1)


def _encoded(graph: Builder, model: Any, columns: Columns) -> Columns:
    """The columns, categories as the codes that they had when the model was fitted."""
    kinds = model.feature_types or []
    if "c" not in kinds:
        return _numbers(graph, columns)
    categories = categories_of(model)
    names = [str(name) for name in model.feature_names or [""] * len(columns)]
    marked = {name for name, kind in zip(names, kinds, strict=False) if kind == "c"}
    return _numbers(
        graph,
        tuple(
            ref if name not in marked or not categories.get(name) else _codes(graph, ref, categories[name])
            for name, ref in zip(names, columns, strict=True)
        ),
    )


def _numbers(graph: Builder, columns: Columns) -> Columns:
    if any(graph.is_text(ref) for ref in columns):
        raise NoReader("Booster", "text that is no category")
    return columns


def _codes(graph: Builder, ref: Ref, values: Sequence[Any]) -> Ref:
    text = graph.is_text(ref)
    if any(isinstance(value, str) != text for value in values):
        raise NoReader("Booster", "a category column of text and numbers")
    keys = tuple(values) if text else np.array(values, np.float64)
    codes = np.arange(len(values), dtype=np.float64)
    # What it doesn't know XGBoost 3.2 takes for the next greater of its categories, or raises where there is none: it
    # is left to the model itself.
    (code,) = graph.add(Encode(inputs=(ref,), keys=keys, codes=codes, missing=math.nan, unknown=None))
    return code


def _linked(graph: Builder, objective: str, margins: Columns) -> Columns:
    link = _LINKS.get(objective)
    if link is None:
        raise NoReader("Booster", f"the objective '{objective}'")
    return link(graph, margins)


def _rounded(graph: Builder, columns: Columns) -> Columns:
    return graph.add(Apply(inputs=columns, function="float32"))


def _exp(graph: Builder, margins: Columns) -> Columns:
    return _rounded(graph, graph.add(Apply(inputs=margins, function="exp")))


def _sigmoid(graph: Builder, margins: Columns) -> Columns:
    """1 / (exp(min(-x, 88.7)) + 1), every step in float32."""
    negative = graph.add(Apply(inputs=margins, function="negative"))
    most = np.full(len(margins), np.float64(np.float32(88.7)))
    raised = _exp(graph, graph.add(Arithmetic(inputs=negative, op="minimum", operand=most)))
    total = _rounded(graph, graph.add(Arithmetic(inputs=raised, op="add", operand=np.ones(len(margins)))))
    return _rounded(graph, graph.add(Apply(inputs=total, function="reciprocal")))


def _softmax(graph: Builder, margins: Columns) -> Columns:
    """exp(x - max) over the sum of those, which alone is kept in float64."""
    width = len(margins)
    everything = np.arange(width, dtype=np.int32)[None]
    largest = graph.add(Combine(inputs=margins, op="maximum", groups=everything))
    below = graph.add(Apply(inputs=largest, function="negative"))
    places = np.array([[place, width] for place in range(width)], np.int32)
    shifted = _rounded(graph, graph.add(Combine(inputs=(*margins, *below), op="sum", groups=places)))
    raised = _exp(graph, shifted)
    total = _rounded(graph, graph.add(Combine(inputs=raised, op="sum", groups=everything)))
    return _rounded(graph, graph.add(Combine(inputs=(*raised, *total), op="divide", groups=places)))


def _largest(graph: Builder, columns: Columns) -> Columns:
    return graph.add(Combine(inputs=columns, op="argmax", groups=np.arange(len(columns), dtype=np.int32)[None]))


def _positive(graph: Builder, margins: Columns) -> Columns:
    return graph.add(Arithmetic(inputs=margins, op="greater", operand=np.zeros(len(margins))))


def _both(graph: Builder, one: Columns) -> Columns:
    """The probabilities of two classes, of that of the second: 1 - p in float32."""
    negative = graph.add(Apply(inputs=one, function="negative"))
    return (*_rounded(graph, graph.add(Arithmetic(inputs=negative, op="add", operand=np.ones(1)))), *one)


def _least_of_one() -> float:
    """The least float32 margin whose probability is above 1/2, so that a label doesn't hang on how exp rounds."""

    def second(margin: float) -> bool:
        raised = np.float32(math.exp(-margin))
        return bool(np.float32(1.0) / (raised + np.float32(1.0)) > np.float32(0.5))

    low, high = np.float32(0.0), np.float32(1.0)
    while (middle := np.float32((low + high) / np.float32(2.0))) not in (low, high):
        low, high = (low, middle) if second(float(middle)) else (middle, high)
    return float(high)


def _same(graph: Builder, margins: Columns) -> Columns:
    return margins


_LINKS: Mapping[str, Callable[[Builder, Columns], Columns]] = {
    **dict.fromkeys(("reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror"), _same),
    **dict.fromkeys(("reg:quantileerror", "binary:logitraw", "rank:pairwise", "rank:ndcg", "rank:map"), _same),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"), _exp),
    **dict.fromkeys(("binary:logistic", "reg:logistic"), _sigmoid),
    "binary:hinge": _positive,
    "multi:softmax": _largest,
    "multi:softprob": _softmax,
}

TRANSFORMERS: dict[str, Transforming] = {}
PREDICTORS: dict[str, Predicting] = {
    "xgboost.core.Booster": booster,
    "xgboost.sklearn.XGBClassifier": classifier,
    "xgboost.sklearn.XGBModel": regressor,
    "xgboost.sklearn.XGBRFClassifier": classifier,
    "xgboost.sklearn.XGBRFRegressor": regressor,
    "xgboost.sklearn.XGBRanker": regressor,
    "xgboost.sklearn.XGBRegressor": regressor,
}
