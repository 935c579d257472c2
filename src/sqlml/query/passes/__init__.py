"""Rewrites of a statement, one a file: ML.PREDICT becomes calls, and queries are made to need less."""

from __future__ import annotations

from collections.abc import Mapping

from sqlml.query.passes.constraints import prune_by_query
from sqlml.query.passes.dimensions import compute_on_dimensions
from sqlml.query.passes.equal import ask_once_for_equals
from sqlml.query.passes.joins import drop_joins
from sqlml.query.passes.limits import bound_by_limit
from sqlml.query.passes.once import evaluate_once
from sqlml.query.passes.order import filter_first
from sqlml.query.passes.predicates import stop_early
from sqlml.query.passes.ranges import limit_terms
from sqlml.query.passes.statistics import prune_by_statistics
from sqlml.query.passes.subqueries import filter_within
from sqlml.query.rewriting import Pass

# In this order: what a filter says of a model frees columns, whose joins then go; what is left of the model is
# computed where it is cheapest; how often, and in which order, comes last.
PASSES: Mapping[str, Pass] = {
    "subqueries": filter_within,
    "constraints": prune_by_query,
    "statistics": prune_by_statistics,
    "joins": drop_joins,
    "dimensions": compute_on_dimensions,
    "equal": ask_once_for_equals,
    "ranges": limit_terms,
    "predicates": stop_early,
    "limits": bound_by_limit,
    "once": evaluate_once,
    "order": filter_first,
}

NAMES = tuple(PASSES)
