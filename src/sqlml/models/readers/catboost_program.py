"""CatBoost's models as programs, from its JSON: columns compared in float32, leaves added up in float64 by tree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

# With it comes the library itself, which is there where one of its models is.
from sqlml.models.readers.catboost import exported, place_of
from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.models.readers.tree_arrays import Tree, joined
from sqlml.programs.program import Apply, Arithmetic, Builder, Combine, Encode, Floats, Link, Ref

Data: TypeAlias = dict[str, Any]

# A tree of depth 16 has 65,536 leaves, and a thousand of those no program that is worth its size.
_MOST_LEAVES = 2_000_000


def raw(reading: Reading, model: Any, columns: Columns) -> Answers:
    """A raw CatBoost, whose predict gives its margins whatever its loss."""
    export = _exported(model)
    margins = _margins(reading, model, export, columns)
    link = _OF_CLASSES.get(_loss(export))
    if link is None:
        return Answers(value=margins)
    return Answers(value=margins, probabilities=link(reading.graph, margins), classes=_classes(model))


def regressor(reading: Reading, model: Any, columns: Columns) -> Answers:
    """CatBoostRegressor: its margins, linked where its loss has a link."""
    export = _exported(model)
    margins = _margins(reading, model, export, columns)
    link = _OF_NUMBERS.get(_loss(export))
    return Answers(value=link(reading.graph, margins) if link else margins)


def ranker(reading: Reading, model: Any, columns: Columns) -> Answers:
    """CatBoostRanker: its margins."""
    return Answers(value=_margins(reading, model, _exported(model), columns))


def classifier(reading: Reading, model: Any, columns: Columns) -> Answers:
    """CatBoostClassifier: of two classes the second above a margin, of more the first with the largest one."""
    graph, export = reading.graph, _exported(model)
    loss = _loss(export)
    link = _OF_CLASSES.get(loss)
    if link is None:
        raise NoReader(type(model).__name__, f"a classifier with the loss '{loss}'")
    margins = _margins(reading, model, export, columns)
    if len(margins) > 1:
        label = graph.add(Combine(inputs=margins, op="argmax", groups=np.arange(len(margins), dtype=np.int32)[None]))
    else:
        least = np.array([_logit(float(export["model_info"].get("binclass_probability_threshold", 0.5)))])
        label = graph.add(Arithmetic(inputs=margins, op="greater", operand=least))
    return Answers(label=label, probabilities=link(graph, margins), decision=margins, classes=_classes(model))


def _logit(probability: float) -> float:
    """The margin of a probability, as CatBoost computes it, to the last bit."""
    return -math.log(1.0 / probability - 1.0)


def _classes(model: Any) -> list[Any]:
    return list(np.asarray(model.classes_).tolist())


def _exported(model: Any) -> Data:
    export: Data = exported(model)
    for kind in ("text", "embedding"):
        if export["features_info"].get(f"{kind}_features"):
            raise NoReader(type(model).__name__, f"{kind} features")
    return export


def _loss(export: Data) -> str:
    return str(export["model_info"].get("params", {}).get("loss_function", {}).get("type", ""))


@dataclass
class _Features:
    """The columns of the splits: the model's own, and the places of its categories as far as splits ask for them."""

    reading: Reading
    model: Any
    export: Data
    columns: list[Ref]
    places: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        held = self.export["features_info"]
        self.floats = {one["feature_index"]: one for one in held.get("float_features", ())}
        self.categories = {one["feature_index"]: one for one in held.get("categorical_features", ())}
        for one in self.floats.values():
            if self.reading.graph.is_text(self.columns[one["flat_feature_index"]]):
                raise NoReader(type(self.model).__name__, "text that is no category")

    def split(self, held: Data) -> tuple[int, float, bool, int | None]:
        """A split's column, its threshold, whether what is missing goes left, and the category that it asks for."""
        if held["split_type"] == "FloatFeature":
            feature = self.floats[held["float_feature_index"]]
            left = feature["nan_value_treatment"] != "AsTrue"
            return feature["flat_feature_index"], float(np.float32(held["border"])), left, None
        if held["split_type"] == "OneHotFeature":
            index = held["cat_feature_index"]
            if index not in self.places:
                self.places[index] = len(self.columns)
                self.columns.append(self._encoded(index))
            return self.places[index], 0.0, False, self.categories[index]["values"].index(held["value"])
        reason = "statistics of the target by category" if "Ctr" in held["split_type"] else held["split_type"]
        raise NoReader(type(self.model).__name__, f"splits by {reason}")

    def _encoded(self, index: int) -> Ref:
        """A category's place among those that splits are made for, one more where it is none."""
        feature = self.categories[index]
        ref, values = self.columns[feature["flat_feature_index"]], len(feature["values"])
        text = self.reading.graph.is_text(ref)
        argument = self.reading.arguments.get(ref)
        truths = (False, True) if argument is not None and argument.type == "BOOLEAN" else ()
        # A number, and a truth, is a category by its decimal digits.
        held: dict[Any, int] = {}
        for key in self.reading.categories.get(ref, truths):
            place = place_of(self.model, str(key) if text else str(int(key)), index)
            if place < values:
                held[key] = place
        if len(held) < values:
            reason = (
                f"of '{feature['feature_id']}' it keeps hashes alone, of categories that sqlml.log_model didn't see"
            )
            raise NoReader(type(self.model).__name__, reason)
        keys: Any = tuple(held) if text else np.array([*held], np.float64)
        codes = np.array([*held.values()], np.float64)
        node = Encode(inputs=(ref,), keys=keys, codes=codes, missing=None, unknown=float(values))
        (code,) = self.reading.graph.add(node)
        return code


def _margins(reading: Reading, model: Any, export: Data, columns: Columns) -> Columns:
    """The sums of the leaves in the order of the trees, then times the scale, plus the bias."""
    graph = reading.graph
    scale, biases = export["scale_and_bias"]
    features = _Features(reading, model, export, [*columns])
    if len(columns) != len(features.floats) + len(features.categories):
        raise NoReader(type(model).__name__, "it has other columns than its signature")
    held = export.get("oblivious_trees")
    if sum(len(tree["leaf_values"]) for tree in held or ()) > _MOST_LEAVES:
        raise NoReader(type(model).__name__, f"more than {_MOST_LEAVES:,} leaves")
    if held is not None:
        trees = [_oblivious(tree, len(biases), features) for tree in held]
    else:
        trees = [_tree(tree, len(biases), features) for tree in export.get("trees", ())]
    sums = graph.add(joined(trees, tuple(features.columns), np.zeros(len(biases)), compare="float32"))
    if scale != 1.0:
        sums = graph.add(Arithmetic(inputs=sums, op="multiply", operand=np.full(len(biases), float(scale))))
    if any(biases):
        sums = graph.add(Arithmetic(inputs=sums, op="add", operand=np.array(biases, np.float64)))
    return sums


def _oblivious(tree: Data, outputs: int, features: _Features) -> Tree:
    """A tree with one split a level: the first split is the lowest bit of a leaf's number."""
    splits = [features.split(held) for held in reversed(tree["splits"])]
    depth = len(splits)
    nodes = np.arange(2**depth - 1)
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
    # The children of node i are 2 i + 1 and 2 i + 2; beyond the last node come the leaves, in the order of their bits.
    no, yes = 2 * nodes + 1, 2 * nodes + 2
    left, right = (np.where(child < len(nodes), child, ~(child - len(nodes))) for child in (no, yes))
    return _made([splits[i] for i in level], left, right, tree["leaf_values"], outputs)


def _tree(tree: Data, outputs: int, features: _Features) -> Tree:
    """A tree whose nodes hold each other."""
    splits: list[Any] = []
    left: list[int] = []
    right: list[int] = []
    leaves: list[float] = []
    open_: list[tuple[Data, list[int] | None, int]] = [(tree, None, 0)]
    while open_:
        node, side, parent = open_.pop()
        if "split" in node:
            place = len(splits)
            splits.append(features.split(node["split"]))
            left.append(0)
            right.append(0)
            open_ += [(node["right"], right, place), (node["left"], left, place)]
        else:
            place = ~(len(leaves) // outputs)
            leaves += node["value"] if isinstance(node["value"], list) else [node["value"]]
        if side is not None:
            side[parent] = place
    return _made(splits, np.array(left, np.int64), np.array(right, np.int64), leaves, outputs)


def _made(splits: Sequence[Any], no: Any, yes: Any, leaves: Sequence[float], outputs: int) -> Tree:
    """A tree of the children that a split's no and yes lead to. A category's yes is on the left, a number's no."""
    asked = np.array([held[3] is not None for held in splits], bool)
    values: Floats = np.array(leaves, np.float64).reshape(-1, outputs)
    return Tree(
        feature=np.array([held[0] for held in splits], np.int64),
        threshold=np.array([held[1] for held in splits], np.float64),
        left=np.where(asked, yes, no),
        right=np.where(asked, no, yes),
        missing_left=np.array([held[2] for held in splits], bool),
        leaves=values,
        output=0 if outputs == 1 else -1,
        sets={i: (held[3],) for i, held in enumerate(splits) if held[3] is not None},
    )


def _exp(graph: Builder, margins: Columns) -> Columns:
    return graph.add(Apply(inputs=margins, function="exp"))


def _uncertain(graph: Builder, margins: Columns) -> Columns:
    """The mean, and the variance: the second margin is the logarithm of the deviation."""
    doubled = graph.add(Arithmetic(inputs=margins[1:], op="multiply", operand=np.array([2.0])))
    return (margins[0], *_exp(graph, doubled))


def _both(graph: Builder, margins: Columns) -> Columns:
    one = graph.add(Apply(inputs=margins, function="sigmoid"))
    negative = graph.add(Apply(inputs=one, function="negative"))
    return (*graph.add(Arithmetic(inputs=negative, op="add", operand=np.ones(1))), *one)


def _each(graph: Builder, margins: Columns) -> Columns:
    return graph.add(Apply(inputs=margins, function="sigmoid"))


def _softmax(graph: Builder, margins: Columns) -> Columns:
    return graph.add(Link(inputs=margins, function="softmax"))


# What predict does to the margins of these losses; it gives those of any other as they are.
_OF_NUMBERS: Mapping[str, Callable[[Builder, Columns], Columns]] = {
    "Poisson": _exp,
    "Tweedie": _exp,
    "RMSEWithUncertainty": _uncertain,
}
_OF_CLASSES: Mapping[str, Callable[[Builder, Columns], Columns]] = {
    "Logloss": _both,
    "CrossEntropy": _both,
    "Focal": _both,
    "MultiClass": _softmax,
    "MultiClassOneVsAll": _each,
}

TRANSFORMERS: dict[str, Transforming] = {}
PREDICTORS: dict[str, Predicting] = {
    "catboost.core.CatBoost": raw,
    "catboost.core.CatBoostClassifier": classifier,
    "catboost.core.CatBoostRanker": ranker,
    "catboost.core.CatBoostRegressor": regressor,
}
