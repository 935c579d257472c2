"""A statement becomes a Plan on one engine: what its calls mean is in the catalog, its columns the engine knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlml.catalog import Snapshot
from sqlml.engines.engine import Column, Engine, Refused
from sqlml.errors import NotAvailable
from sqlml.lifecycle.backing import Backing
from sqlml.lifecycle.foreseen import Foreseen
from sqlml.lifecycle.rewriting import Rewriter
from sqlml.models.answering import Answerer
from sqlml.models.description import Description
from sqlml.planner import Analysis, Measured, Plan, Target, plan_query, split_target
from sqlml.query.calls import SUFFIXES, find_calls
from sqlml.query.items import unnamed
from sqlml.query.passes.ml_predict import Predicted, expand_ml_predict
from sqlml.query.statements import keeps_text
from sqlml.query.text import numbered_placeholders, tokenize
from sqlml.query.trees import is_query
from sqlml.types import Output


class Planning:
    """Plans statements for an engine, and makes ready what they call.

    With `foreseen`, a statement is planned as it will be once the functions are as that says.
    """

    def __init__(self, engine: Engine, backing: Backing, foreseen: Foreseen | None = None) -> None:
        self._engine = engine
        self._backing = backing
        self._rewriter = Rewriter(engine, backing, backing.rewrites)
        self._snapshot = (foreseen or backing.catalog).snapshot
        self._ensure_version = (foreseen or backing.registrar).ensure

    def plan(self, text: str, *, jvm: bool = True, pinned: Snapshot | None = None) -> Plan:
        """What a statement would do.

        Args:
            text: one statement.
            jvm: whether functions may be classes of the engine's JVM.
            pinned: the catalog whose versions answer; else as it is now.

        Raises:
            SqlmlError: whatever stands against the statement.
        """
        dialect = self._engine.dialect
        expanded = expand_ml_predict(text, dialect, self._predicted)
        rewrites = ["ML.PREDICT became a subquery with calls"] if expanded != text else []
        tokens = tokenize(expanded, dialect)
        if tokens is None:
            return Plan(text, text, (), (), self._engine.name)
        numbered = numbered_placeholders(expanded, tokens)
        if numbered != expanded:
            tokens = tokenize(numbered, dialect) or []
        snapshot = pinned or self._snapshot()
        calls = find_calls(numbered, tokens, sql_names(snapshot), dialect)
        if not calls:
            return Plan(text, text, (), (), self._engine.name)
        if pinned is None:
            for call in calls:
                if call.generic:
                    self._ensure(call.target)
            snapshot = self._snapshot()
        plan = plan_query(
            numbered,
            calls,
            snapshot,
            columns_of=_Remembered(self._engine).columns,
            callable_name=self._callable_name,
            written=self._engine.call,
            engine=self._engine.name,
            dialect=dialect,
            rewrites=rewrites,
            unnamed=unnamed(tokens, [call.span.start for call in calls]),
            stored=keeps_text(numbered, dialect),
            jvm=jvm and self._engine.has_jvm,
        )
        return self._rewriter.rewrite(plan) if plan.canonical else plan

    def open(self, plan: Plan) -> None:
        """Make what a plan calls ready: a model that can't be loaded is one clear error, and not a query's failure."""
        self._open(self._called(plan) if plan.plain is None else plan.opened)

    def _called(self, plan: Plan) -> list[tuple[Answerer, str]]:
        """The functions that the plain query calls, with their names in the engine."""
        return [(self._backing.answerer(call.target), call.name) for call in plan.calls]

    def _open(self, functions: Sequence[tuple[Answerer, str]]) -> None:
        for answerer, name in functions:
            answerer.open()
            self._engine.open(name)

    def analyze(self, plan: Plan) -> Analysis:
        """Run a plan's query with and without its rewrites, and count.

        Raises:
            NotAvailable: it is no query of one statement, or the engine doesn't count.
            SqlmlError: the query failed.
        """
        if not is_query(plan.text, self._engine.dialect):
            raise NotAvailable(what="EXPLAIN PREDICT ANALYZE of what is no query", instead="EXPLAIN PREDICT alone")
        plain = self._called(plan)
        # Both are made ready first, so that the time of each is its own.
        self._open([*plan.opened, *plain])
        try:
            return Analysis(
                self._measured(plan.sql, plan.opened or plain),
                None if plan.plain is None else self._measured(plan.plain, plain),
            )
        except Refused as why:
            raise NotAvailable(what="EXPLAIN PREDICT ANALYZE", instead=str(why)) from why

    def _measured(self, text: str, functions: Sequence[tuple[Answerer, str]]) -> Measured:
        answerers = {answerer for answerer, _ in functions}
        for answerer in answerers:
            answerer.count_anew()
        found = self._engine.profile(text, [name for _, name in functions])
        if found.rows_scored is not None:
            return Measured(found.seconds, found.rows_read, found.rows_scored, None)
        counted = [answerer.counted() for answerer in answerers]
        return Measured(
            found.seconds, found.rows_read, sum(rows for rows, _ in counted), sum(trees for _, trees in counted)
        )

    def _predicted(self, target: str) -> Predicted:
        """What ML.PREDICT must know of a model."""
        self._ensure(target)
        name, alias, number = split_target(target)
        snapshot = self._snapshot()
        function = snapshot.function(name)
        model = snapshot.versions[function.version_id].model
        version = snapshot.versions[function.version_id]
        if alias:
            version = snapshot.versions[snapshot.aliases[(model, alias)]]
        elif number:
            version = snapshot.version_named(model, number) or version
        held = Description.from_json(version.description)
        return Predicted(function.name, held.label or "label", held.classes, "proba" in held.outputs())

    def _ensure(self, target: str) -> None:
        name, alias, number = split_target(target)
        if alias is not None or number is not None:
            snapshot = self._snapshot()
            model = snapshot.versions[snapshot.function(name).version_id].model
            self._ensure_version(model, alias=alias, version=number)

    def _callable_name(self, target: Target, outputs: Sequence[Output], as_row: bool) -> tuple[str, Target]:
        try:
            return self._engine.register(self._backing.answerer(target), outputs, as_row=as_row), target
        except Refused as why:
            who = "the JVM" if target.strategy == "jvm" else "an expression"
            other = replace(target, strategy="kernel", reason=f"{who} can't: {why}")
            return self._engine.register(self._backing.answerer(other), outputs, as_row=as_row), other


class _Remembered:
    """The engine's columns of a query, asked once a statement."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: dict[str, Sequence[Column]] = {}

    def columns(self, query: str) -> Sequence[Column]:
        if query not in self._held:
            self._held[query] = self._engine.columns(query)
        return self._held[query]


def sql_names(snapshot: Snapshot) -> dict[str, tuple[str, Output]]:
    """Each SQL name of each function, casefolded, with the function and the output that it asks for."""
    return {
        f"{function.name}{suffix}".casefold(): (function.name, output)
        for function in snapshot.functions.values()
        for suffix, output in SUFFIXES.items()
    }
