"""What the readers of scikit-learn estimators share: nodes by name, guards where an estimator validates, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import get_tags

from sqlml.models.readers.reading import Answers, Columns, NoReader, Reading
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Builder,
    Combine,
    Constant,
    Encode,
    Floats,
    Guard,
    Input,
    Linear,
    Link,
    OneHot,
    Piecewise,
    Ref,
    Replace,
)

_COMPARISONS = ("equal", "greater", "greater_equal")


def step(estimator: Any) -> str:
    """The estimator as `explain` names it."""
    return type(estimator).__name__


def floats(values: Any) -> Floats:
    """An attribute of an estimator as a contiguous array of float64, a sparse one made dense."""
    held = values.toarray() if hasattr(values, "toarray") else values
    return np.ascontiguousarray(held, np.float64)


def numbers(reading: Reading, estimator: Any, columns: Columns, rule: str | None = None) -> Columns:
    """The columns as the estimator's own validation lets them through; raises NoReader where it takes them otherwise.

    `rule` is what it validates: by default what its tags say of NaN.
    """
    if rule is None:
        rule = "finite_or_missing" if get_tags(estimator).input_tags.allow_nan else "finite"
    if any(reading.graph.is_text(ref) for ref in columns):
        raise NoReader(step(estimator), "a column of text reaches it")
    _refuse_single(reading, estimator, columns)
    return guarded(reading.graph, columns, rule)


def _refuse_single(reading: Reading, estimator: Any, columns: Columns) -> None:
    """Refuse what scikit-learn computes in float32: columns that are all FLOAT, or BOOLEAN beside them."""
    types = {reading.arguments[ref].type if ref in reading.arguments else "" for ref in columns}
    if "FLOAT" in types and types <= {"FLOAT", "BOOLEAN"}:
        raise NoReader(step(estimator), "it computes FLOAT arguments in float32")


def guarded(graph: Builder, columns: Columns, rule: str) -> Columns:
    """The columns, each guarded by the rule unless it keeps it by what it is or by an earlier guard."""
    known = {
        ref: (place, i)
        for place, node in enumerate(graph.nodes)
        if isinstance(node, Guard) and node.rule in (rule, "finite")
        for i, ref in enumerate(node.inputs)
    }
    open_ = tuple(dict.fromkeys(ref for ref in columns if ref not in known and not _keeps(graph, ref, rule)))
    if open_:
        known.update(zip(open_, graph.add(Guard(inputs=open_, rule=rule)), strict=True))
    return tuple(known.get(ref, ref) for ref in columns)


def _keeps(graph: Builder, ref: Ref, rule: str) -> bool:
    """Whether a column never holds what the rule refuses."""
    node = graph.nodes[ref[0]]
    missing = rule == "finite_or_missing"
    if isinstance(node, Guard):
        return node.rule in (rule, "finite")
    if isinstance(node, Replace):
        filled = math.isnan(node.old) and bool(np.isfinite(node.new[ref[1]]))
        return filled and _keeps(graph, node.inputs[ref[1]], "finite_or_missing")
    if isinstance(node, Encode):
        held = node.missing is None or missing or bool(np.isfinite(node.missing))
        unknown = node.unknown is None or missing or bool(np.isfinite(node.unknown))
        return held and unknown and not np.isinf(node.codes).any() and (missing or bool(np.isfinite(node.codes).all()))
    if isinstance(node, Constant):
        return bool(np.isfinite(node.values).all())
    if isinstance(node, Arithmetic):
        return node.op in _COMPARISONS
    if isinstance(node, Apply):
        return node.function in ("is_missing", "not")
    return isinstance(node, OneHot) or (isinstance(node, Combine) and node.op == "argmax")


def arithmetic(graph: Builder, op: str, columns: Columns, operand: Any) -> Columns:
    """Each column op its own constant; one constant serves all."""
    if not columns:
        return ()
    operands = np.ascontiguousarray(np.broadcast_to(floats(operand), (len(columns),)))
    return graph.add(Arithmetic(inputs=columns, op=op, operand=operands))


def apply(graph: Builder, function: str, columns: Columns) -> Columns:
    """A function of each column."""
    return graph.add(Apply(inputs=columns, function=function)) if columns else ()


def combine(graph: Builder, op: str, columns: Columns) -> Columns:
    """All the columns together, from left to right."""
    return combine_each(graph, op, [columns])


def combine_each(graph: Builder, op: str, groups: Sequence[Columns]) -> Columns:
    """Groups of columns, of one size, each combined to a column."""
    if not groups:
        return ()
    places: dict[Ref, int] = {}
    for group in groups:
        for ref in group:
            places.setdefault(ref, len(places))
    picked = np.array([[places[ref] for ref in group] for group in groups], np.int32)
    return graph.add(Combine(inputs=tuple(places), op=op, groups=picked))


def pairwise(graph: Builder, op: str, left: Columns, right: Columns) -> Columns:
    """Column by column, left op right; one column on the right serves all."""
    others = right if len(right) == len(left) else right * len(left)
    return combine_each(graph, op, list(zip(left, others, strict=True)))


def minus(graph: Builder, left: Columns, right: Columns) -> Columns:
    """Left - right, column by column."""
    return pairwise(graph, "sum", left, apply(graph, "negative", right))


def linear(graph: Builder, columns: Columns, weights: Any, bias: Any) -> Columns:
    """Columns @ weights + bias; weights of the shape [columns, width]."""
    held = floats(weights)
    return graph.add(
        Linear(inputs=columns, weights=held, bias=np.ascontiguousarray(np.broadcast_to(floats(bias), held.shape[1:])))
    )


def constant(graph: Builder, values: Any) -> Columns:
    """Columns of the same numbers in every row."""
    return graph.add(Constant(values=floats(values).reshape(-1)))


def softmax(graph: Builder, columns: Columns) -> Columns:
    """exp(x - max) over its sum."""
    return graph.add(Link(inputs=columns, function="softmax"))


def normalize(graph: Builder, columns: Columns) -> Columns:
    """X over its sum, the same for each where that is 0."""
    return graph.add(Link(inputs=columns, function="normalize"))


def from_logarithms(graph: Builder, columns: Columns) -> Columns:
    """exp(x - logsumexp(x)), in the order of scikit-learn: what is lost in the subtraction is lost here too."""
    largest = combine(graph, "maximum", columns)
    raised = apply(graph, "exp", minus(graph, columns, largest))
    total = pairwise(graph, "sum", apply(graph, "log", combine(graph, "sum", raised)), largest)
    return apply(graph, "exp", minus(graph, columns, total))


def complement(graph: Builder, columns: Columns) -> Columns:
    """1 - x."""
    return arithmetic(graph, "add", apply(graph, "negative", columns), 1.0)


def argmax(graph: Builder, columns: Columns) -> Columns:
    """The place of the first largest."""
    return combine(graph, "argmax", columns)


def both(graph: Builder, positive: Columns) -> Columns:
    """The probabilities of two classes, of the second's."""
    return complement(graph, positive) + positive


def only_where(graph: Builder, columns: Columns, condition: Columns) -> Columns:
    """The columns; a row where the condition is not 1 is refused."""
    # Adding nothing ties the refusal to the columns: a node that no head depends on isn't evaluated.
    nothing = graph.add(
        Encode(inputs=condition, keys=np.array([1.0]), codes=np.array([0.0]), missing=None, unknown=None)
    )
    return pairwise(graph, "sum", columns, nothing)


def interpolated(graph: Builder, column: Columns, x: Any, y: Any, *, beyond: bool = True) -> Columns:
    """numpy.interp(column, x, y), by its own formula: slope * (column - x[j]) + y[j].

    Beyond the ends it gives their values, or NaN.
    """
    xs, ys = floats(x), floats(y)
    with np.errstate(all="ignore"):
        slopes = np.diff(ys) / np.diff(xs)
    # Between two equal edges there is no row.
    slopes[~np.isfinite(slopes)] = 0.0
    coefficients = np.zeros((len(xs) + 1, 1, 2))
    coefficients[:, 0, 0] = np.concatenate([ys[:1], ys])
    coefficients[1:-1, 0, 1] = slopes
    if not beyond:
        xs = np.append(xs, np.nextafter(xs[-1], np.inf))
        coefficients = np.concatenate([coefficients, coefficients[-1:]])
        coefficients[[0, -1], 0, 0] = np.nan
    return graph.add(
        Piecewise(inputs=column, edges=xs, origins=np.concatenate([xs[:1], xs]), coefficients=coefficients)
    )


def euclidean_squared(graph: Builder, columns: Columns, points: Any, *, points_first: bool = False) -> Columns:
    """Squared distances as sklearn.metrics.pairwise.euclidean_distances rounds them: -2 x p + x x + p p, at least 0.

    `points_first` where it is called as of the points and the row.
    """
    held = floats(points)
    of_points = np.einsum("ij,ij->i", held, held)
    own = combine(graph, "sum", apply(graph, "square", columns))
    crossed = linear(graph, columns, -2.0 * held.T, 0.0)
    if points_first:
        summed = pairwise(graph, "sum", arithmetic(graph, "add", crossed, of_points), own)
    else:
        summed = arithmetic(graph, "add", pairwise(graph, "sum", crossed, own), of_points)
    return arithmetic(graph, "maximum", summed, 0.0)


def nearest(graph: Builder, columns: Columns, points: Any) -> Columns:
    """The place of the first nearest point, by p p - 2 x p, as scikit-learn finds it; turned round for argmax."""
    held = floats(points)
    return argmax(graph, linear(graph, columns, 2.0 * held.T, -np.einsum("ij,ij->i", held, held)))


def classes_of(estimator: Any) -> Sequence[Any]:
    """The classes of a classifier of one output; raises NoReader for several."""
    classes = estimator.classes_
    if isinstance(classes, list) or np.ndim(classes) != 1:
        raise NoReader(step(estimator), "it answers several labels")
    return list(np.asarray(classes).tolist())


def by_decision(reading: Reading, estimator: Any, decision: Columns, probabilities: Columns | None = None) -> Answers:
    """A classifier that answers by its scores: above 0 where there is one column, else the largest."""
    graph = reading.graph
    label = arithmetic(graph, "greater", decision, 0.0) if len(decision) == 1 else argmax(graph, decision)
    return Answers(label=label, probabilities=probabilities, decision=decision, classes=classes_of(estimator))


def by_probability(
    reading: Reading, estimator: Any, probabilities: Columns, decision: Columns | None = None
) -> Answers:
    """A classifier that answers the most probable class, the first of equal ones."""
    label = argmax(reading.graph, probabilities)
    return Answers(label=label, probabilities=probabilities, decision=decision, classes=classes_of(estimator))


def labels_as_numbers(reading: Reading, estimator: Any, answers: Answers) -> Columns:
    """The predicted classes themselves, as numbers."""
    assert answers.label is not None
    assert answers.classes is not None
    classes = np.asarray(answers.classes)
    if classes.dtype.kind not in "iufb":
        raise NoReader(step(estimator), "its inner labels are text")
    keys = np.arange(len(classes), dtype=np.float64)
    if np.array_equal(keys, classes):
        return answers.label
    return reading.graph.add(Encode(inputs=answers.label, keys=keys, codes=floats(classes), missing=None, unknown=None))


def picked(columns: Columns, places: Any) -> Columns:
    """Columns by their places, or by a mask."""
    held: npt.NDArray[Any] = np.asarray(places)
    chosen = np.flatnonzero(held) if held.dtype == bool else held
    return tuple(columns[int(place)] for place in chosen)


def is_argument(reading: Reading, ref: Ref) -> bool:
    """Whether a column is an argument as it came."""
    return isinstance(reading.graph.nodes[ref[0]], Input)
