"""What a program answers to a row of which nothing is there, as an outer join makes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sqlml.programs.evaluate import evaluate
from sqlml.programs.program import Program


def answer_to_nothing(program: Program, head: str = "value") -> float:
    """The one number of a head, with every input missing.

    Example:
        >>> from sqlml.programs.program import Apply, Builder
        >>> graph = Builder([("x", False)])
        >>> missing = graph.add(Apply(inputs=graph.input("x"), function="is_missing"))
        >>> answer_to_nothing(graph.program({"value": missing}))
        1.0
    """
    columns = [pa.nulls(1, pa.string()) if node.text else np.array([np.nan]) for node in program.inputs]
    return float(evaluate(program, columns).heads[head][0, 0])
