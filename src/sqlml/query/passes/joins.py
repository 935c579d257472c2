"""The model prunes the query: a join that only brought columns which nobody reads any more goes.

It goes only where it neither adds nor drops a row: a LEFT JOIN on columns that are unique on its right side, an inner
one where a foreign key without NULL says besides that each row finds its partner.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sqlml.query.rewriting import Facts, State
from sqlml.query.selects import Item, bare, conjuncts, has_star, name_of, owner, selects, sources


def drop_joins(state: State, facts: Facts) -> State:
    """Drop the joins that only columns which the models don't read have needed."""
    for select in selects(state.tree):
        while (dropped := _one_needless(select, state, facts)) is not None:
            state = state.saying(dropped)
    return state


def _one_needless(select: exp.Select, state: State, facts: Facts) -> str | None:
    items = sources(select, facts) if select.args.get("joins") and state.calls(select) else None
    if items is None or any(item.joined == "other" for item in items):
        return None
    for item in reversed(items):
        if item.join is None or has_star(select, item.alias):
            continue
        keys = _keys(item, items)
        if keys is None or _is_read(item, items, select) or not _is_unique(item, set(keys.values()), facts):
            continue
        if any(item.columns[own].kind == "text" for own in keys.values()) and not facts.plain_texts():
            # Two texts of a unique column may be equal to one of a column with a collation.
            continue
        if item.joined == "inner" and not _always_found(keys, item, items, facts):
            continue
        select.set("joins", [join for join in select.args["joins"] if join is not item.join])
        return f"the join with '{item.alias}' is gone: nothing of it is read, and each row has one partner at most"
    return None


def _keys(item: Item, items: Sequence[Item]) -> dict[tuple[str, str], str] | None:
    """What is equal in the join: columns of other sources, and those of the item; None where it is anything else."""
    assert item.join is not None
    using, on = item.join.args.get("using"), item.join.args.get("on")
    if using:
        # The merged column is another source's as well, unless that is not clear.
        names = [name.name.casefold() for name in using]
        others = {name: [one for one in items if one is not item and name in one.columns] for name in names}
        if any(len(held) != 1 for held in others.values()):
            return None
        return {(others[name][0].alias, name): name for name in names}
    found: dict[tuple[str, str], str] = {}
    for condition in conjuncts(on):
        sides = (condition.this, condition.expression) if type(condition) is exp.EQ else ()
        columns = [bare(side) for side in sides]
        owners = [owner(column, items) if column is not None else None for column in columns]
        if len(columns) != 2 or None in owners or (owners[0] is item) == (owners[1] is item):
            return None
        mine = 0 if owners[0] is item else 1
        theirs, column = owners[1 - mine], columns[1 - mine]
        own = columns[mine]
        assert theirs is not None
        assert column is not None
        assert own is not None
        if theirs.columns[column.name.casefold()].kind != item.columns[own.name.casefold()].kind:
            return None
        found[theirs.alias, column.name.casefold()] = own.name.casefold()
    return found or None


def _is_read(item: Item, items: Sequence[Item], select: exp.Select) -> bool:
    """Whether a column of it stands anywhere but in its own join; one that can't be told counts."""
    assert item.join is not None
    inside = {id(node) for node in item.join.find_all(exp.Column)}
    using = {name.name.casefold() for name in item.join.args.get("using") or ()}
    for column in select.find_all(exp.Column):
        if id(column) in inside:
            continue
        if column.table:
            if column.table.casefold() == item.alias.casefold():
                return True
            continue
        name = column.name.casefold()
        if name in item.columns and name not in using and owner(column, items) in (item, None):
            return True
        # A row of it may go by its alias.
        if name == item.alias.casefold():
            return True
    return False


def _is_unique(item: Item, columns: set[str], facts: Facts) -> bool:
    if item.table is not None:
        return any(key <= columns for key in facts.table(name_of(item.table, facts.dialect)).unique)
    query = item.node.this if isinstance(item.node, exp.Subquery) else None
    grouped = _grouped(query) if isinstance(query, exp.Select) else None
    return grouped is not None and grouped <= columns


def _grouped(query: exp.Select) -> set[str] | None:
    """The columns that are different in every row of a subquery, by its GROUP BY or DISTINCT."""
    names = {item.alias_or_name.casefold() for item in query.expressions}
    if any(isinstance(item.unalias(), exp.Star) or not item.alias_or_name for item in query.expressions):
        return None
    distinct, group = query.args.get("distinct"), query.args.get("group")
    if distinct is not None and distinct.args.get("on") is None and group is None:
        return names
    if group is None or any(group.args.get(key) for key in ("rollup", "cube", "grouping_sets", "all", "totals")):
        return None
    by_text = {item.unalias().sql(): item.alias_or_name.casefold() for item in query.expressions}
    held = [by_text.get(key.sql()) for key in group.expressions]
    return {name for name in held if name is not None} if held and None not in held else None


def _always_found(keys: dict[tuple[str, str], str], item: Item, items: Sequence[Item], facts: Facts) -> bool:
    """Whether a foreign key says that each row has its partner."""
    aliases = {alias for alias, _ in keys}
    other = next((one for one in items if one.alias in aliases), None)
    if len(aliases) != 1 or other is None or other.table is None or item.table is None or other.joined == "left":
        return False
    wanted = {name: own for (_, name), own in keys.items()}
    for own, table, theirs in facts.table(name_of(other.table, facts.dialect)).references:
        if table == item.table.name.casefold() and dict(zip(own, theirs, strict=True)) == wanted:
            return True
    return False
