"""What a row costs, as SQL and in the kernel: enough to choose between them.

The constants are nanoseconds on one core. `benchmarks/costs.py` measures those of DuckDB's SQL.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlml.programs.program import (
    HEADS,
    Apply,
    Arithmetic,
    Combine,
    Distances,
    Encode,
    Guard,
    Head,
    Input,
    Linear,
    Link,
    Median,
    Node,
    OneHot,
    Piecewise,
    Program,
    Ref,
    Replace,
    Trees,
)
from sqlml.programs.sql import Dialect, NoSql, Shape, sql_text
from sqlml.programs.sql_printer import MOST_BRANCHES, needed_nodes

TINY = 40
"""Below so many operations a row the choice is worth nothing, and SQL needs no native code."""

# DuckDB's SQL, by benchmarks/costs.py.
SQL_COLUMN, SQL_OPERATION, SQL_FUNCTION, SQL_CASE = 0.6, 0.25, 3.5, 2.0
SQL_TEXT, SQL_BRANCH, SQL_LOOKUP = 6.5, 3.0, 40.0
SQL_TREE, SQL_SPLIT, SQL_LIST, SQL_MAP = 14.0, 1.2, 25.0, 530.0

# Spark, of the same steps: 660 to 830 ns for 29 columns, nearly all of it the columns' own; a CASE runs row by row.
SPARK_COLUMN, SPARK_FACTOR = 25.0, 2.0

# The kernel: a sum of 29 columns takes 26 ns with its call, DuckDB's scan and an empty call 12; a hundred trees of 31
# leaves 238. Native code in Spark reads columns for what SQL does.
KERNEL_BASE, KERNEL_WEIGHT, KERNEL_CATEGORY, KERNEL_OPERATION, KERNEL_FUNCTION = 12.0, 0.5, 3.0, 0.5, 3.0
KERNEL_TREE, KERNEL_TREE_LEAVES = 2.5, 31

# NumPy in an Arrow function: 200 to 680 microseconds a call of 2,048 rows before anything is computed.
EVALUATOR_BASE, EVALUATOR_OPERATION, EVALUATOR_FUNCTION, EVALUATOR_CATEGORY, EVALUATOR_SPLIT = (
    200.0,
    1.5,
    8.0,
    10.0,
    30.0,
)


@dataclass(frozen=True)
class Counts:
    """What answering one head takes."""

    columns: int = 0
    weights: int = 0
    operations: int = 0
    functions: int = 0
    cases: int = 0
    categories: tuple[int, ...] = ()
    """Of each lookup: SQL repeats a category's for every sum that it goes into."""
    encoded: int = 0
    leaves: tuple[int, ...] = ()
    splits: int = 0

    @property
    def steps(self) -> int:
        """All of it as one number: an operation each."""
        return (
            2 * self.weights
            + self.operations
            + self.functions
            + self.cases
            + sum(self.categories)
            + self.splits
            + 8 * len(self.leaves)
        )


@dataclass(frozen=True)
class Cost:
    """Nanoseconds a row, of each way to answer; `sql_ns` is None where there is no SQL. `reason` says it in words."""

    sql_ns: float | None
    kernel_ns: float
    evaluator_ns: float
    operations: int
    reason: str


def estimate(program: Program, dialect: Dialect = "duckdb", head: Head | None = None, shape: Shape = "last") -> Cost:
    """What a row costs.

    Args:
        program: what answers.
        dialect: whose SQL.
        head: which of its heads; the first one where None.
        shape: how probabilities are given: a map costs more than most models.
    """
    name: Head = next(known for known in HEADS if (known in program.heads if head is None else known == head))
    refs = program.heads[name][-1:] if name == "probabilities" and shape == "last" else program.heads[name]
    counts = count(program, refs)
    kernel, evaluator = _kernel(counts, dialect), _evaluator(counts)
    try:
        written = name == "probabilities" and shape == "map"
        labels = list(range(len(refs))) if written else None
        sql_text(program, name, [f"x{i}" for i in range(len(program.inputs))], dialect, labels, shape=shape)
    except NoSql as error:
        return Cost(None, kernel, evaluator, counts.steps, f"no SQL: {error}")
    several = name == "probabilities" and shape != "last"
    sql = _sql(counts, dialect) + (SQL_LIST + (SQL_MAP if shape == "map" else 0.0) if several else 0.0)
    cost = Cost(sql, kernel, evaluator, counts.steps, "")
    return Cost(sql, kernel, evaluator, counts.steps, _reason(cost))


def prefer_sql(cost: Cost) -> bool:
    """Whether SQL is the way to answer: it is no slower than the kernel, or the program is tiny.

    Example:
        >>> prefer_sql(Cost(30.0, 40.0, 300.0, 90, "")), prefer_sql(Cost(60.0, 40.0, 300.0, 90, ""))
        (True, False)
    """
    return cost.sql_ns is not None and (cost.sql_ns <= cost.kernel_ns or cost.operations < TINY)


def _reason(cost: Cost) -> str:
    assert cost.sql_ns is not None
    rates = f"SQL takes about {cost.sql_ns:.0f} ns a row, the kernel {cost.kernel_ns:.0f}"
    if prefer_sql(cost) and cost.sql_ns > cost.kernel_ns:
        return f"{cost.operations} operations are few enough for SQL: {rates}"
    return rates


def count(program: Program, refs: Sequence[Ref]) -> Counts:
    """The operations of the nodes that columns depend on."""
    nodes = [program.nodes[place] for place in needed_nodes(program, refs)]
    of = _Counting(program)
    for node in nodes:
        of.add(node)
    return Counts(
        columns=sum(isinstance(node, Input) for node in nodes),
        weights=of.weights,
        operations=of.operations,
        functions=of.functions,
        cases=of.cases,
        categories=tuple(of.categories),
        encoded=sum(isinstance(node, Encode) for node in nodes),
        leaves=tuple(of.leaves),
        splits=of.splits,
    )


_CHEAP = {"abs", "floor", "is_missing", "negative", "not", "reciprocal", "relu", "rint", "sqrt", "square", "trunc"}


class _Counting:
    """Adds up what nodes take."""

    def __init__(self, program: Program) -> None:
        self.nodes = program.nodes
        self.weights = self.operations = self.functions = self.cases = self.splits = 0
        self.categories: list[int] = []
        self.leaves: list[int] = []

    def add(self, node: Node) -> None:
        """Count one node."""
        if isinstance(node, Linear):
            hot = [i for i, (place, _) in enumerate(node.inputs) if isinstance(self.nodes[place], OneHot)]
            self.weights += int((node.weights != 0.0).sum()) - int((node.weights[hot] != 0.0).sum())
            sources = {self.nodes[node.inputs[i][0]].inputs[0][0] for i in hot}
            for source in map(self.nodes.__getitem__, sources):
                self.categories += [len(source.keys)] * (node.width - 1) if isinstance(source, Encode) else []
        elif isinstance(node, Encode):
            self.categories.append(len(node.keys))
        elif isinstance(node, Apply):
            cheap = node.function in _CHEAP
            self.operations += node.width if cheap else 0
            self.functions += 0 if cheap else node.width
        elif isinstance(node, Trees):
            self.splits += len(node.feature)
            self.leaves += [max(1, round(len(node.leaves) / max(1, len(node.roots))))] * len(node.roots)
        elif isinstance(node, Link):
            self.functions += node.width if node.function == "softmax" else 0
            self.operations += 3 * node.width
        elif isinstance(node, Arithmetic | Guard):
            # One look at a sum spares most looks at its columns.
            self.operations += 0 if isinstance(node, Guard) else node.width
        elif isinstance(node, Replace):
            self.cases += node.width
        elif isinstance(node, Combine):
            self.operations += int(node.groups.size)
        else:
            self._add_rare(node)

    def _add_rare(self, node: Node) -> None:
        if isinstance(node, Distances):
            self.operations += 3 * int(node.points.size)
        elif isinstance(node, Piecewise):
            self.cases += len(node.edges)
            self.operations += 2 * int(node.coefficients.shape[1] * node.coefficients.shape[2])
        elif isinstance(node, Median):
            self.operations += 20 * len(node.inputs)


def _sql(counts: Counts, dialect: Dialect) -> float:
    taken = SQL_OPERATION * (2 * counts.weights + counts.operations) + SQL_FUNCTION * counts.functions
    taken += SQL_CASE * counts.cases + sum(_lookup(width, dialect) for width in counts.categories)
    taken += SQL_TREE * len(counts.leaves) + SQL_SPLIT * counts.splits
    if dialect == "spark":
        return SPARK_FACTOR * taken + SPARK_COLUMN * counts.columns
    return taken + SQL_COLUMN * counts.columns


def _lookup(width: int, dialect: Dialect) -> float:
    if width > MOST_BRANCHES[dialect]:
        return SQL_TEXT + SQL_LOOKUP
    return SQL_TEXT + SQL_BRANCH * width


def _kernel(counts: Counts, dialect: Dialect) -> float:
    # A tree of more leaves than a mask has bits takes a mask more.
    masks = sum(math.ceil((leaves + 1) / (KERNEL_TREE_LEAVES + 1)) for leaves in counts.leaves)
    taken = KERNEL_BASE + KERNEL_WEIGHT * counts.weights + KERNEL_CATEGORY * counts.encoded
    taken += KERNEL_OPERATION * (counts.operations + counts.cases) + KERNEL_FUNCTION * counts.functions
    reads = SPARK_COLUMN * counts.columns if dialect == "spark" else 0.0
    return taken + KERNEL_TREE * masks + reads


def _evaluator(counts: Counts) -> float:
    taken = EVALUATOR_BASE + EVALUATOR_OPERATION * (counts.weights + counts.operations + counts.cases)
    taken += EVALUATOR_FUNCTION * counts.functions + EVALUATOR_CATEGORY * counts.encoded
    depth = math.log2(counts.splits / len(counts.leaves) + 1) if counts.leaves else 0.0
    return taken + EVALUATOR_SPLIT * depth * len(counts.leaves)
