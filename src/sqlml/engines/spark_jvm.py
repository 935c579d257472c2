"""Functions that Spark's own JVM runs: made once a machine, proved once, called through a catalog of their own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyspark

from sqlml.engines.engine import Exact, Refused
from sqlml.engines.spark_jar import write_jar
from sqlml.engines.spark_proof import Evaluate, prove
from sqlml.models.answering import Answerer
from sqlml.programs.java import NoJava, call_text, java_of
from sqlml.programs.java_class import MOST_ARGUMENTS
from sqlml.programs.objects import cache_folder
from sqlml.programs.program import Encode
from sqlml.programs.publish import SUFFIXES, WHOLE, Publication, Published
from sqlml.query.text import identifier, literal
from sqlml.types import Output

_CATALOG = "org.sqlml.functions.Catalog"
_ONCE = "_once"
_EXACT = 2**53
"""The largest whole number up to which a DOUBLE holds each."""


@dataclass(frozen=True)
class _Made:
    publication: Publication
    output: Any
    catalog: str
    java: str
    once: bool = False


class JvmFunctions:
    """The functions of a Spark session that are classes in its JVM."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._made: dict[str, _Made] = {}
        self._refused: dict[str, str] = {}

    def function(self, answerer: Answerer, output: Output, evaluate: Evaluate, *, once: bool = False) -> str:
        """The name of a version's output, made and proved at the first call.

        Args:
            answerer: the version.
            output: which of its outputs.
            evaluate: gives the values of a SQL expression over columns.
            once: whether Spark's optimizer is kept from putting it in two places.

        Raises:
            Refused: its program can't be a class, or the class does not answer as the model does.
        """
        key = hashlib.sha256(answerer.key.encode()).hexdigest()[:16]
        if key in self._refused:
            raise Refused(self._refused[key])
        if f"{key}_{output}" not in self._made:
            try:
                self._make(key, answerer, evaluate)
            except Refused as why:
                self._refused[key] = str(why)
                raise
        return f"{key}_{output}{_ONCE if once else ''}"

    def write(self, answerer: Answerer, path: Path, evaluate: Evaluate) -> list[str]:
        """A version's outputs in a jar of their own, once they are proved; gives the statements that use it.

        Raises:
            Refused: as `function` says.
        """
        compiled = answerer.compiled()
        if compiled is None:
            raise Refused(answerer.description.no_program or "it has no program")
        self.function(answerer, "predict", evaluate)
        publication = compiled.publication()
        classes = {publication.function + SUFFIXES[one]: java_of(publication, one) for one in publication.outputs}
        write_jar(self._session, _CATALOG, classes, path)
        held = [identifier(name, "spark") for name, _ in publication.arguments]
        return [
            f"ADD JAR {literal(str(path), 'spark')}",
            f"SET spark.sql.catalog.sqlml = {_CATALOG}",
            *(f"SELECT {call_text(publication, one, 'sqlml', held)}" for one in publication.outputs),
        ]

    def has(self, name: str) -> bool:
        """Whether a name is one of these functions'."""
        return name in self._made

    def shown(self, name: str) -> str:
        """How Spark writes a function where it shows a call: by the class's method, or by name."""
        held = self._made.get(name)
        if held is None:
            return name
        called = len(held.publication.arguments) <= MOST_ARGUMENTS
        return f"{held.java}.invoke" if called else held.publication.function + SUFFIXES[held.output]

    def call(self, name: str, given: Sequence[str]) -> str | None:
        """A call as SQL; None where that is no function of these.

        A text that is no number is the error that it is with every strategy.
        """
        held = self._made.get(name)
        if held is None:
            return None
        checked = [
            text
            if type_ == "VARCHAR" or isinstance(text, Exact)
            else _number(text, held.publication.function, argument, type_)
            for text, (argument, type_) in zip(given, held.publication.arguments, strict=True)
        ]
        return call_text(held.publication, held.output, held.catalog, checked, once=held.once)

    def _make(self, key: str, answerer: Answerer, evaluate: Evaluate) -> None:
        compiled = answerer.compiled()
        assert compiled is not None
        publication = compiled.publication()
        if publication.strict:
            raise Refused("on_null is 'error'")
        required = publication.required or frozenset()
        for node in compiled.program.nodes:
            # A row without a value that must be there is NULL before anything is encoded.
            if isinstance(node, Encode) and (
                node.unknown is None or (node.missing is None and node.inputs[0][0] not in required)
            ):
                raise Refused("the model itself must answer for a category that it doesn't know")
        # Its name in SQL doesn't matter here, and could be anything.
        publication = replace(publication, function=re.sub(r"\W", "_", publication.function, flags=re.ASCII))
        try:
            classes = {publication.function + SUFFIXES[one]: java_of(publication, one) for one in publication.outputs}
        except NoJava as why:
            raise Refused(str(why)) from why
        named = "\n".join(f"{name} {java.class_name}" for name, java in sorted(classes.items()))
        digest = hashlib.sha256(f"{pyspark.__version__}\n{named}".encode()).hexdigest()[:24]
        jar, catalog = cache_folder() / "jars" / f"{digest}.jar", f"sqlml_{digest}"
        if not jar.is_file():
            try:
                write_jar(self._session, f"{_CATALOG}{digest}", classes, jar)
            except NoJava as why:
                raise Refused(str(why)) from why
        self._session.sql(f"ADD JAR {literal(str(jar), 'spark')}")
        self._session.conf.set(f"spark.sql.catalog.{catalog}", f"{_CATALOG}{digest}")
        made = {
            f"{key}_{one}": _Made(publication, one, catalog, classes[publication.function + SUFFIXES[one]].class_name)
            for one in publication.outputs
        }

        def call(output: Published, given: Sequence[str]) -> str:
            return call_text(publication, output, catalog, given)

        prove(self._session, digest, answerer, call, evaluate)
        self._made |= made | {name + _ONCE: replace(one, once=True) for name, one in made.items()}


def _number(text: str, function: str, argument: str, type_: str) -> str:
    """An argument as a number, where it can be one; Spark drops all of it where the type needs none of it."""
    begins = literal(f"sqlml.errors.BadCast: '{function}': the argument '{argument}' takes {type_}, and ", "spark")

    def failed(kind: str, after: str) -> str:
        said = f"concat({begins}, {kind}, CAST({text} AS STRING), {literal(after, 'spark')})"
        return f"CAST(raise_error({said}) AS DOUBLE)"

    no_number = failed(literal("the text '", "spark"), "' is no number.")
    cast = f"coalesce(try_cast({text} AS DOUBLE), CASE WHEN {text} IS NOT NULL THEN {no_number} END)"
    if type_ in WHOLE:
        return cast
    # The type is known before a row is read, so that no other type pays for it.
    integer = f"typeof({text}) = 'bigint'"
    whole = f"try_cast({text} AS DECIMAL(38, 0))"
    beyond = f"({integer} OR typeof({text}) LIKE 'decimal(%,0)') AND ({whole} > {_EXACT} OR {whole} < -{_EXACT})"
    too_large = failed(
        f"CASE WHEN {integer} THEN 'the integer ' ELSE 'the DECIMAL ' END",
        " is too large to be one exactly (beyond 2^53).",
    )
    return f"CASE WHEN {beyond} THEN {too_large} ELSE {cast} END"
