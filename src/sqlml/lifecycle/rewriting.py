"""A planned statement is made to need less: its calls as Programs, the passes over its tree, and back to functions."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlml.config import Rewrites
from sqlml.engines.engine import Engine, Exact, Refused
from sqlml.errors import EngineError
from sqlml.lifecycle.backing import Backing
from sqlml.lifecycle.facts import EngineFacts, Record
from sqlml.models.derived import Derived
from sqlml.planner import Plan, PlannedCall, Target, most_in_jvm, numbered_names
from sqlml.programs.cost import estimate
from sqlml.programs.program import Program
from sqlml.programs.prune import Domain
from sqlml.query.passes import PASSES
from sqlml.query.rewriting import Asked, Given, Pass, State
from sqlml.query.selects import is_exact
from sqlml.query.trees import Unreadable, called, has_parameters, query_of, tables, text_of, tree_of, with_calls

log = logging.getLogger("sqlml")


_KEPT = 64
"""Statements whose rewrites are kept."""
_LEAST = 1e8
"""Nanoseconds on one thread, by an estimate on the high side: below it, planning a rewrite takes what it gains."""
_SLOW = 10_000.0
"""Nanoseconds a row, of a model that has no program."""


class Rewriter:
    """Rewrites plans for one engine, by the passes whose names are wanted."""

    def __init__(self, engine: Engine, backing: Backing, rewrites: Rewrites) -> None:
        self._engine = engine
        self._backing = backing
        self._passes = {name: one for name, one in PASSES.items() if name in rewrites.names}
        self._always = rewrites.always
        self._done: OrderedDict[tuple[str, ...], tuple[Record, Plan]] = OrderedDict()

    def rewrite(self, plan: Plan) -> Plan:
        """The plan with a query that needs less, or as it was where nothing can be done; says what was done.

        The same query over tables of which the same is known was rewritten before.
        """
        if not self._passes or (not self._engine.publishes_any_time and self._engine.in_transaction()):
            # A transaction doesn't see the functions that a rewrite makes, and what fails in it ends it.
            return plan
        key = (plan.canonical, *(f"{call.target.key}\n{call.output}" for call in plan.calls))
        facts = EngineFacts(self._engine)
        if key in self._done:
            record, found = self._done[key]
            if all(self._engine.knows(name) for _, name in found.opened) and facts.holds(record):
                self._done.move_to_end(key)
                rewrites = (*plan.rewrites, *found.rewrites)
                return replace(found, text=plan.text, calls=plan.calls, rewrites=rewrites)
            facts = EngineFacts(self._engine)
        found = self._rewritten(replace(plan, rewrites=()), facts)
        self._done[key] = facts.needed(), found
        if len(self._done) > _KEPT:
            self._done.popitem(last=False)
        return replace(found, rewrites=(*plan.rewrites, *found.rewrites))

    def _rewritten(self, plan: Plan, facts: EngineFacts) -> Plan:
        try:
            tree = self._tree(plan, facts)
        except Unreadable as why:
            return replace(plan, rewrites=(*plan.rewrites, f"none of the query: {why}"))
        if not self._always and self._work(plan, tree, facts) < _LEAST:
            return plan
        if has_parameters(tree):
            return replace(plan, rewrites=(*plan.rewrites, "none of the query: it has parameters"))
        named = zip(numbered_names(plan.calls), plan.calls, strict=True)
        asked = [self._asked(name, place, call) for place, (name, call) in enumerate(named)]
        start = State(tree, {one.name: one for one in reversed(asked)})
        state, names = self._passed(start, facts, self._passes)
        if not state.done:
            return plan
        refused = ""
        # What one pass has done may be what the engine refuses: GROUP BY knows no column of another name.
        for without in ("", *(names if len(names) > 1 else ())):
            kept = {name: one for name, one in self._passes.items() if name != without}
            again = self._passed(start, facts, kept)[0] if without else state
            try:
                return self._checked(plan, again, facts)
            except (EngineError, Refused) as why:
                refused = refused or str(why).splitlines()[0]
        log.info("A rewritten query was refused: %s", refused)
        return replace(plan, rewrites=(*plan.rewrites, f"none of the query: the engine refused it: {refused}"))

    def _passed(self, start: State, facts: EngineFacts, passes: Mapping[str, Pass]) -> tuple[State, list[str]]:
        """What passes make of a query, whose tree stays as it is; and those that did something."""
        state, names = replace(start, tree=start.tree.copy()), []
        for name, one in passes.items():
            before = state.done
            state = one(state, facts)
            names += [name] if state.done != before else []
        return state, names

    def _tree(self, plan: Plan, facts: EngineFacts) -> Any:
        """The plain query's tree; raises Unreadable."""
        # sqlglot leaves NULLS LAST out, where it goes without saying unless a setting says otherwise.
        silent = "nulls" in plan.canonical.casefold() and all(facts.nulls_last(descending=one) for one in (True, False))
        return tree_of(plan.canonical, self._engine.dialect, nulls_last=silent)

    def _work(self, plan: Plan, tree: Any, facts: EngineFacts) -> float:
        """About how many nanoseconds the plain query's models take, if the largest table's rows are all answered."""
        counts = [facts.table(name).rows for name in tables(tree, facts.dialect)]
        largest = max((count for count in counts if count is not None), default=0)
        if None in counts:
            return math.inf
        return largest * sum(call.target.description.estimates.get("kernel", _SLOW) for call in plan.calls)

    def _asked(self, name: str, place: int, call: PlannedCall) -> Asked:
        """A planned call as the passes see it."""
        target, description = call.target, call.target.description
        program: Program | None = None
        given: tuple[Given, ...] = ()
        if not call.as_row and target.strategy != "python" and target.on_null != "error":
            compiled = self._backing.answerer(target).compiled()
            assert compiled is not None
            program = compiled.program
            given = tuple(
                Given(argument.name, argument.type, compiled.requires(argument), i)
                for i, argument in enumerate(description.taken)
            )
        return Asked(name, place, target.function.name, call.shared or (call.output,), program, given)

    def _checked(self, plan: Plan, state: State, facts: EngineFacts) -> Plan:
        """The plan of a rewritten tree; raises EngineError or Refused unless it is a query of the same columns."""
        made = {name: self._registered(plan, state.asked[name]) for name in called(state.tree, state.asked)}
        names = {name: held for name, (_, held) in made.items()}
        tree = self._written(state.tree, names, facts)
        self._compare(plan, tree, facts)
        written = text_of(tree, self._engine.dialect)
        rewrites = (*plan.rewrites, *state.done)
        return replace(plan, sql=written, plain=plan.sql, rewrites=rewrites, opened=tuple(made.values()))

    def _written(self, tree: Any, names: Mapping[str, str], facts: EngineFacts) -> Any:
        """The tree with each function by its name in the engine, called as the engine wants it."""

        def argument(node: Any, text: str) -> str:
            return Exact(text) if is_exact(node, facts) else text

        return with_calls(tree, names, self._engine.calls_plainly, self._engine.call, argument, self._engine.dialect)

    def _compare(self, plan: Plan, tree: Any, facts: EngineFacts) -> None:
        """Raise EngineError unless the query has the columns that it had."""
        dialect = self._engine.dialect
        query, before = query_of(tree), plan.sql
        if query is not tree:
            # To ask for the columns of what writes rows would write them.
            was = query_of(self._tree(plan, facts))
            assert was is not None
            names = dict(zip(numbered_names(plan.calls), (call.name for call in plan.calls), strict=True))
            before = text_of(self._written(was, names, facts), dialect)
        assert query is not None
        one, two = self._engine.columns(before), self._engine.columns(text_of(query, dialect))
        if [(column.name, column.type) for column in one] != [(column.name, column.type) for column in two]:
            raise EngineError(message="its columns would be others")

    def _registered(self, plan: Plan, asked: Asked) -> tuple[Any, str]:
        """What answers for a function of the tree, and its name in the engine."""
        call = plan.calls[asked.call]
        answerer = self._backing.answerer(call.target)
        whole = asked.program is None or (
            asked.program is self._program(call)
            and not asked.number
            and len(asked.arguments) == len(asked.program.inputs)
        )
        if whole:
            if not asked.once:
                return answerer, call.name
        else:
            assert asked.program is not None
            derived = Derived(
                asked.program,
                asked.outputs,
                tuple(given.place for given in asked.arguments),
                tuple((given.name, given.type, given.required) for given in asked.arguments),
                {place: _one_of(domain) for place, domain in asked.known.items()},
                asked.number,
            )
            answerer = self._backing.derived(self._best(call.target, derived), derived)
        try:
            return answerer, self._engine.register(answerer, asked.outputs, as_row=call.as_row, once=asked.once)
        except Refused:
            if whole or answerer.strategy == "kernel":
                raise
        other = self._backing.derived(replace(call.target, strategy="kernel"), derived)
        return other, self._engine.register(other, asked.outputs, once=asked.once)

    def _best(self, target: Target, derived: Derived) -> Target:
        """The target by the strategy that suits what is left of it."""
        if not self._engine.has_jvm or target.function.strategy != "auto" or len(derived.outputs) != 1:
            return target
        cheap = estimate(derived.program).kernel_ns <= most_in_jvm(len(derived.places))
        return replace(target, strategy="jvm" if cheap else "kernel")

    def _program(self, call: PlannedCall) -> Any:
        compiled = self._backing.answerer(call.target).compiled()
        return None if compiled is None else compiled.program


def _one_of(domain: Domain) -> Any:
    """A value that an input of that domain may have."""
    if domain.values:
        return domain.values[0]
    if domain.values == ():
        return None
    return next((end for end in (domain.low, domain.high) if abs(end) < float("inf")), 0.0)
