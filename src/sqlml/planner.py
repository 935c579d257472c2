"""A statement and the catalog make a Plan: what each call means, as data. Nothing runs here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlml.binder import Binder, ColumnsOf, Piece
from sqlml.catalog import Function, Snapshot, Version
from sqlml.errors import (
    NoSuchOutput,
    PinnedInView,
    UnknownModel,
)
from sqlml.models.answering import Answerer
from sqlml.models.description import Description
from sqlml.query.calls import SUFFIX_OF, Call
from sqlml.query.rewriting import CALL
from sqlml.query.text import Span, identifier
from sqlml.types import NullPolicy, Output, Strategy


@dataclass(frozen=True)
class Target:
    """The function and version that a call means, how it runs, and why so; `asked` is the name in a generic call."""

    function: Function
    version: Version
    description: Description
    on_null: NullPolicy
    pinned: bool
    strategy: Strategy
    reason: str
    asked: str = ""

    @property
    def key(self) -> str:
        """What tells this version of the function, under its settings, from any other."""
        held = self.description.program or self.version.digest
        return f"{self.function.name}\n{self.version.id}\n{held}\n{self.on_null}\n{self.strategy}"


@dataclass(frozen=True)
class PlannedCall:
    """One call: what it means and what stands in its place.

    `shared` are all outputs that its function gives, in a struct: those that the query asks of the same row.
    """

    target: Target
    output: Output
    shared: tuple[Output, ...]
    name: str
    span: Span
    form: str
    bound: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    row_names: tuple[str, ...] | None
    as_row: bool


@dataclass(frozen=True)
class Plan:
    """What a statement will do: its calls, and the SQL that the engine gets.

    `plain` is that SQL as it was before the query was rewritten, where it was, and `canonical` is that with a number
    for each call. `opened` are the functions that the rewritten one calls, with their names in the engine.
    """

    text: str
    sql: str
    calls: tuple[PlannedCall, ...]
    rewrites: tuple[str, ...]
    engine: str
    plain: str | None = None
    canonical: str = ""
    opened: tuple[tuple[Answerer, str], ...] = ()

    def as_written(self) -> Plan:
        """The plan of the query as it was before it was rewritten."""
        return self if self.plain is None else replace(self, sql=self.plain, plain=None, rewrites=(), opened=())

    def columns_read(self) -> list[str]:
        """The columns and expressions that the calls are given, each once."""
        return list(dict.fromkeys(sql for call in self.calls for _, sql in call.bound))

    def not_seen(self, message: str) -> str | None:
        """The function that the engine, by its message about `sql`, doesn't know."""
        lost = (call for call in self.calls if f"{call.name} does not exist" in message)
        return next((call.target.function.name for call in lost), None)

    def in_written_names(self, message: str) -> str:
        """An engine's message about `sql`, with the functions' names as they are in `text`."""
        for call in self.calls:
            written = call.target.function.name + SUFFIX_OF.get(call.output, "")
            message = message.replace(call.name, written)
            # The engine shows the line from somewhere on, which may be the middle of a name.
            for start in range(1, len(call.name) - len(written) - 1):
                message = message.replace(f"...{call.name[start:]}", f"...{written}")
        return message

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        return {
            "engine": self.engine,
            "sql": self.sql,
            "rewrites": list(self.rewrites),
            "columns_read": self.columns_read(),
            "calls": [
                {
                    "function": call.target.function.name,
                    "model": call.target.version.model,
                    "version": call.target.version.version,
                    "output": call.output,
                    "form": call.form,
                    "arguments": {name: sql for name, sql in call.bound},
                    "on_null": call.target.on_null,
                    "not_read": [argument.name for argument in call.target.description.arguments if not argument.used],
                    "strategy": call.target.strategy,
                    "reason": call.target.reason,
                }
                for call in self.calls
            ],
        }


@dataclass(frozen=True)
class Measured:
    """What running a query took: the rows it read from tables, those that models answered, the trees gone through.

    `trees` is None where the engine doesn't count them.
    """

    seconds: float
    rows_read: int
    rows_scored: int
    trees: int | None

    def __str__(self) -> str:
        trees = "" if self.trees is None else f"{self.trees:,} trees gone through, "
        return f"{self.rows_read:,} rows read, {self.rows_scored:,} scored, {trees}{1000 * self.seconds:.1f} ms"


@dataclass(frozen=True)
class Analysis:
    """A query with its rewrites and, where there are any, without them."""

    rewritten: Measured
    plain: Measured | None

    def __str__(self) -> str:
        titles = [("with the rewrites", self.rewritten), ("without them", self.plain)]
        shown = [(title, held) for title, held in titles if held is not None]
        if self.plain is None:
            shown = [("as it is", self.rewritten)]
        return "\n".join(f"{title}: {held}" for title, held in shown)

    def to_json(self) -> dict[str, Any]:
        """The counts as plain data."""
        return {"rewritten": asdict(self.rewritten), "plain": None if self.plain is None else asdict(self.plain)}


def _lines(plan: Plan) -> list[str]:
    if not plan.calls:
        return ["No model is called: the statement goes to the engine as it is.", f"engine: {plan.engine}"]
    lines: list[str] = []
    shown: set[tuple[Any, ...]] = set()
    for call in plan.calls:
        target = call.target
        is_python = target.strategy == "python"
        follows = f" (@{target.function.alias})" if target.function.alias and not target.pinned else ""
        title = f"{target.function.name}: {target.description.title}{follows}, {_WHAT[call.output]}"
        binding = (target.key, call.form, call.bound)
        # A query often asks the same of the same row again, which need not be read again.
        if (title, binding) in shown:
            continue
        lines.append(title)
        if binding in shown:
            lines.append("  strategy and arguments as above" + (", in one evaluation" if len(call.shared) > 1 else ""))
        else:
            lines += [
                f"  strategy: {target.strategy}, for {target.reason}",
                f"  on_null: {target.on_null}" + (f"; feed: {_FEED[target.description.feed]}" if is_python else ""),
                f"  bound by {call.form}:",
                *(f"    {name} <- {sql}" for name, sql in call.bound),
            ]
            idle = [argument.name for argument in target.description.arguments if not argument.used]
            lines += [f"  not read, for the answer doesn't depend on them: {', '.join(idle)}"] if idle else []
        shown |= {binding, (title, binding)}
    lines += [f"rewrite: {rewrite}" for rewrite in plan.rewrites]
    lines.append(f"columns read: {', '.join(plan.columns_read()) or 'none'}")
    return [*lines, f"engine: {plan.engine}, which gets:", *(f"  {line}" for line in plan.sql.splitlines())]


_WHAT: Mapping[Output, str] = {
    "predict": "its answer",
    "score": "the probability of its last class",
    "proba": "the probability of each class",
    "probs": "the probability of each class, as a list",
}
_FEED: Mapping[str, str] = {"matrix": "one float64 matrix a batch", "frame": "a pandas data frame a batch"}


def current_target(snapshot: Snapshot, function: Function, *, jvm: bool = False) -> Target:
    """A function at the version that answers now; `jvm` says whether it may run in a JVM."""
    return _target(function, snapshot.versions[function.version_id], pinned=False, jvm=jvm)


def _target(function: Function, version: Version, *, pinned: bool, jvm: bool) -> Target:
    description = Description.from_json(version.description)
    strategy, reason = choose_strategy(function, description, jvm=jvm)
    return Target(function, version, description, function.on_null, pinned, strategy, reason)  # type: ignore[arg-type]


def most_in_jvm(columns: int) -> float:
    """A kernel's nanoseconds a row, above which rows of so many columns are better sent to it than answered by Java.

    Measured: a row costs 200 ns and 70 for each column to send; Java takes three times as long as a kernel for trees
    grown level by level, and seven times for trees grown leaf by leaf.
    """
    return (200 + 70 * columns) / 4


def choose_strategy(function: Function, description: Description, *, jvm: bool = False) -> tuple[Strategy, str]:
    """How a version runs under a function's options, and why so: by proof first, then by the estimated cost.

    `jvm` says whether the engine has a JVM for functions.
    """
    asked = function.strategy
    refuses = [argument.name for argument in description.taken if argument.missing is None]
    if function.on_null == "pass" and refuses:
        return "python", f"on_null is 'pass', and the model itself must say what it makes of NULL in '{refuses[0]}'"
    if asked == "python":
        return "python", "the function's option asks for it"
    if description.program is None:
        return "python", description.no_program or "it was registered before programs were compiled: register it again"
    cost = {name: f"about {description.estimates[name]:.0f} ns a row" for name in description.estimates}
    if asked == "sql":
        if "sql" in description.strategies:
            return "sql", f"the function's option asks for it ({cost['sql']})"
        why = description.refused.get("sql", "it was not proved")
        return "kernel", f"the function's option asks for SQL, but there is none: {why}"
    cheap = description.estimates.get("kernel", math.inf) <= most_in_jvm(len(description.taken))
    if jvm and (asked == "jvm" or (asked == "auto" and cheap)):
        return "jvm", "the function's option asks for it" if asked == "jvm" else "no row needs to leave Spark's JVM"
    if asked == "jvm":
        return "kernel", "the function's option asks for a JVM, which this engine or session has none of"
    estimated = f" ({', '.join(f'{name} {text}' for name, text in cost.items())})" if cost else ""
    return "kernel", f"its program was proved to answer as the model does{estimated}"


def target_of(snapshot: Snapshot, call: Call, *, jvm: bool = False) -> Target:
    """The function and version that a call means.

    Raises:
        UnknownFunction: no function of that name.
        UnknownModel: an alias or version of its model that the catalog doesn't know.
        NoSuchOutput: a score or probabilities that the model doesn't have.
    """
    name, version_id, pinned = call.target, None, False
    if call.generic:
        name, alias, number = split_target(call.target)
        function = snapshot.function(name)
        model = snapshot.versions[function.version_id].model
        pinned = alias is not None or number is not None
        if alias is not None:
            version_id = snapshot.aliases.get((model, alias))
        elif number is not None:
            held = snapshot.version_named(model, number)
            version_id = held.id if held else None
        if pinned and version_id is None:
            raise UnknownModel(registry="the catalog", what=f"'{call.target}'", suggestion="")
    else:
        function = snapshot.function(name)
    version = snapshot.versions[version_id if version_id is not None else function.version_id]
    target = replace(_target(function, version, pinned=pinned, jvm=jvm), asked=call.target if pinned else "")
    description = target.description
    if call.output not in description.outputs():
        output = {"score": "score", "proba": "probabilities", "probs": "probabilities"}[call.output]
        raise NoSuchOutput(function=function.name, output=output, reason=description.why_not(call.output))
    return target


def split_target(target: str) -> tuple[str, str | None, str | None]:
    """The function, alias and version number in the name of a generic call.

    Example:
        >>> split_target("f@challenger"), split_target("f/3"), split_target("f")
        (('f', 'challenger', None), ('f', None, '3'), ('f', None, None))
    """
    if "@" in target:
        name, _, alias = target.partition("@")
        return name, alias, None
    name, slash, number = target.partition("/")
    return name, None, number if slash else None


def plan_query(
    text: str,
    calls: Sequence[Call],
    snapshot: Snapshot,
    *,
    columns_of: ColumnsOf,
    callable_name: Callable[[Target, Sequence[Output], bool], tuple[str, Target]],
    written: Callable[[str, Sequence[str]], str],
    engine: str,
    dialect: str,
    rewrites: Sequence[str] = (),
    unnamed: Sequence[Span] = (),
    stored: bool = False,
    jvm: bool = False,
) -> Plan:
    """Bind each call's arguments and put the name of a version's function in its place.

    Args:
        text: one statement.
        calls: what `find_calls` found in it.
        snapshot: the catalog, which names the versions once for the whole statement.
        columns_of: the engine's answer to which columns a query has; may raise EngineError.
        callable_name: what a target's outputs are called in the engine, by its columns or (True) by a row; and the
            target, whose strategy may be another after all.
        written: a call by such a name, as SQL.
        engine: the engine's name.
        dialect: sqlglot's name of its SQL.
        rewrites: what was already changed in the text.
        unnamed: items of SELECT lists, which get what was written as their name.
        stored: the engine keeps the text (a view, a macro), so that functions must go by their public names.
        jvm: the engine has a JVM for functions.

    Raises:
        SqlmlError: whatever stands against a call.
    """
    targets = [target_of(snapshot, call, jvm=jvm) for call in calls]
    every = zip(calls, targets, strict=True)
    planned = [_plan_call(text, call, target, columns_of, dialect, stored=stored) for call, target in every]
    if not stored:
        shared = _sharing(calls, planned)
        found = [callable_name(call.target, call.shared, call.as_row) for call in shared]
        planned = [replace(call, name=name, target=target) for call, (name, target) in zip(shared, found, strict=True)]
    else:
        names = [identifier(call.target.function.name + SUFFIX_OF.get(call.output, ""), dialect) for call in planned]
        planned = [replace(call, name=name) for call, name in zip(planned, names, strict=True)]
        for call in planned:
            if call.target.pinned or call.output == "probs":
                version = call.target.version
                model = f"models:/{version.model}/{version.version}"
                reference = text[call.span.start : call.span.end]
                raise PinnedInView(reference=reference, model=model)
    sql = _render(text, planned, unnamed, dialect, written, stored=stored)
    plan = Plan(text, sql, tuple(planned), tuple(rewrites), engine)
    return plan if stored else replace(plan, canonical=_canonical(text, planned, unnamed, dialect))


def numbered_names(calls: Sequence[PlannedCall]) -> list[str]:
    """A name for each call: the same one for those that ask the same of the same version."""
    keys = [(call.target.key, call.shared, call.as_row) for call in calls]
    return [f"{CALL}{keys.index(key)}" for key in keys]


def _canonical(text: str, planned: Sequence[PlannedCall], unnamed: Sequence[Span], dialect: str) -> str:
    """The text with a number for each call, alike for whichever engine runs it."""
    numbered = [replace(call, name=name) for call, name in zip(planned, numbered_names(planned), strict=True)]

    def written(name: str, given: Sequence[str]) -> str:
        return f"{name}({', '.join(given)})"

    return _render(text, numbered, unnamed, dialect, written, stored=False)


def _sharing(calls: Sequence[Call], planned: Sequence[PlannedCall]) -> list[PlannedCall]:
    """The calls, those that ask a kernel for several outputs of one row, in one place, made to share its evaluation."""
    asked: dict[Any, dict[Output, None]] = {}
    keys = [(call.target.key, call.bound, found.scope) for found, call in zip(calls, planned, strict=True)]
    for key, call in zip(keys, planned, strict=True):
        asked.setdefault(key, {})[call.output] = None
    return [
        replace(call, shared=tuple(sorted(asked[key]))) if call.target.strategy == "kernel" else call
        for key, call in zip(keys, planned, strict=True)
    ]


def _render(
    text: str,
    calls: Sequence[PlannedCall],
    unnamed: Sequence[Span],
    dialect: str,
    written: Callable[[str, Sequence[str]], str],
    *,
    stored: bool,
) -> str:
    names = [(item.end, " ".join(text[item.start : item.end].split())) for item in unnamed]
    edits: list[tuple[int, int, PlannedCall | str]] = [(call.span.start, call.span.end, call) for call in calls]
    edits += [(end, end, f" AS {identifier(name, dialect)}") for end, name in names]
    # Of two that start at one place the longer one holds the other.
    edits.sort(key=lambda edit: (edit[0], -edit[1]))

    def within(span: Span) -> str:
        """The text of a span, its calls replaced, the outermost first, and names put behind what has none."""
        shown, at = [], span.start
        for start, end, edit in edits:
            if start < at or end > span.end:
                continue
            shown += [text[at:start], edit if isinstance(edit, str) else rendered(edit)]
            at = end
        return "".join([*shown, text[at : span.end]])

    def rendered(call: PlannedCall) -> str:
        pieces = [piece if isinstance(piece, str) else within(piece) for piece in call.pieces]
        if stored and call.row_names is not None and dialect == "duckdb":
            # A stored call is bound again by whoever reads the view, at the version that answers then.
            fields = zip(call.row_names, pieces, strict=True)
            return f"{call.name}(struct_pack({', '.join(f'{identifier(field)} := {sql}' for field, sql in fields)}))"
        called = f"{call.name}({', '.join(pieces)})" if stored else written(call.name, pieces)
        return f"({called}).{call.output}" if len(call.shared) > 1 else called

    return within(Span(0, len(text)))


def _plan_call(
    text: str,
    call: Call,
    target: Target,
    columns_of: ColumnsOf,
    dialect: str,
    *,
    stored: bool,
) -> PlannedCall:
    arguments = target.description.arguments
    binder = Binder(text, target.function.name, arguments, call.scope, columns_of, dialect)
    form, pieces, names = binder.bind(call.arguments)
    as_row = len(pieces) != len(arguments)
    if not stored and not as_row:
        # What the answer doesn't depend on is not read.
        pieces = [piece for piece, argument in zip(pieces, arguments, strict=True) if argument.used]
        names = None if names is None else tuple(argument.name for argument in target.description.taken)
    labels = names or [argument.name for argument in (arguments if stored else target.description.taken)]
    shown = [piece if isinstance(piece, str) else text[piece.start : piece.end] for piece in pieces]
    bound = (("a row", shown[0]),) if as_row else tuple(zip(labels, shown, strict=True))
    return PlannedCall(
        target, call.output, (call.output,), "", call.span, form, bound, tuple(pieces), names, as_row=as_row
    )
