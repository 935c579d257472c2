"""What a query has read, and how many rows came to its models, by the metrics of Spark's operators."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from sqlml.engines.engine import Profile
from sqlml.engines.spark_unchanged import CLASS

_ROWS = "numOutputRows"


def profile(session: Any, text: str, functions: Sequence[str]) -> Profile:
    """Run a query and count.

    Args:
        session: a classic session.
        text: the query.
        functions: what stands in an operator's expressions where it calls a model, each one another function's.
    """
    query = session.sql(text)._jdf.queryExecution()
    started = time.perf_counter()
    query.toRdd().count()
    seconds = time.perf_counter() - started
    read, scored = 0, 0
    for operator in _operators(query.executedPlan()):
        below = _below(operator)
        if not below:
            # What looks whether files are the same ones reads no table.
            read += 0 if CLASS in str(operator.output()) else _given(operator)
        else:
            said = _evaluated(operator)
            scored += sum(f"{name}(" in said for name in functions) * sum(_given(one) for one in below)
    return Profile(seconds, read, scored)


def _operators(operator: Any) -> Iterator[Any]:
    yield operator
    # What is used again was read once.
    for one in (*_below(operator), *_all(operator.subqueries())):
        if not _kind(one).startswith("Reused"):
            yield from _operators(one)


def _below(operator: Any) -> list[Any]:
    """The operators that one takes its rows from, as they were in the end."""
    kind = _kind(operator)
    if kind == "AdaptiveSparkPlanExec":
        return [operator.executedPlan()]
    if kind.endswith("QueryStageExec"):
        return [operator.plan()]
    return _all(operator.children())


def _given(operator: Any) -> int:
    """How many rows an operator gave; one that doesn't count gives those that it takes."""
    counted = operator.metrics().get(_ROWS)
    return int(counted.get().value()) if counted.isDefined() else sum(_given(one) for one in _below(operator))


def _evaluated(operator: Any) -> str:
    """The expressions that an operator evaluates for each row."""
    said = [str(one) for one in _all(operator.expressions())]
    if "Aggregate" in _kind(operator) and not any(one.startswith("partial_") for one in said):
        # The second half of it puts together what the first has evaluated.
        return ""
    return "\n".join(said)


def _kind(operator: Any) -> str:
    return str(operator.getClass().getSimpleName())


def _all(sequence: Any) -> list[Any]:
    return [sequence.apply(place) for place in range(sequence.size())]
