"""What Spark's own code answers for a version, beside what the model answered: asked in Spark, once a machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyspark

from sqlml.engines.engine import Refused
from sqlml.errors import EngineError
from sqlml.models.answering import Answerer
from sqlml.programs.objects import cache_folder
from sqlml.programs.publish import Published
from sqlml.query.text import identifier
from sqlml.types import Output

Evaluate = Callable[[str, Mapping[str, pa.Array]], pa.Array]
"""Gives the values of a SQL expression over columns."""

_EXCLUDED = "spark.sql.optimizer.excludedRules"
_AHEAD = "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation"


def prove(
    session: Any, code: str, answerer: Answerer, call: Callable[[Published, Sequence[str]], str], evaluate: Evaluate
) -> None:
    """Compare with the model on the cases that it answered, unless that was done on this machine for the same code.

    Args:
        session: the Spark session.
        code: what tells this code from any other.
        answerer: the version.
        call: gives a call of an output as SQL, of expressions for the arguments that are read.
        evaluate: asks Spark.

    Raises:
        Refused: Spark's answers are not the model's.
    """
    key = hashlib.sha256(f"{pyspark.__version__}\n{code}".encode()).hexdigest()[:32]
    mark = cache_folder() / "spark" / f"{key}.proved"
    if mark.is_file():
        return
    description = answerer.description

    def answer(output: Output, columns: Sequence[pa.Array]) -> pa.Array:
        taken = [column for column, a in zip(columns, description.arguments, strict=True) if a.used]
        names = [f"a{place}" for place in range(len(taken))]
        wanted: Published = "proba" if output == "probs" else output
        text = call(wanted, [identifier(name, "spark") for name in names])
        found = evaluate(text, dict(zip(names, taken, strict=True)))
        if output != "probs":
            return found
        pairs = pa.StructArray.from_arrays([found.keys, found.items], names=["label", "prob"])
        return pa.ListArray.from_arrays(found.offsets, pairs)

    # Rows that the optimizer answers by itself would never reach the code that Spark generates.
    before = session.conf.get(_EXCLUDED, "")
    session.conf.set(_EXCLUDED, ",".join(filter(None, (before, _AHEAD))))
    try:
        reason = answerer.refuted(answer)
    except EngineError as error:
        reason = f"Spark refused it: {str(error).splitlines()[0]}"
    finally:
        session.conf.set(_EXCLUDED, before)
    if reason is not None:
        raise Refused(reason)
    mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark.touch()
