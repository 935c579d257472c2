"""The functions that a project's files declare, and what `apply` does to the catalog to have them so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlml.catalog import Change, Difference, Function
from sqlml.catalog.change import removal
from sqlml.lifecycle.foreseen import Foreseen
from sqlml.lifecycle.registration import Options, Registrar
from sqlml.models.reference import ModelReference
from sqlml.query.project import DeclaredFunction, about

OwnerOf = Callable[[str], str | None]
"""What in an engine, not being sqlml's, has a name already."""


@dataclass(frozen=True)
class FunctionsPlan:
    """What the files change, a change a declaration and then what is removed; and the functions as they will be."""

    registrar: Registrar
    owner_of: OwnerOf
    declared: tuple[DeclaredFunction, ...]
    changes: tuple[Change, ...]
    foreseen: Foreseen
    dropped: tuple[str, ...]

    def apply(self) -> None:
        """Make, change and move functions, with what was found of their models when this was planned."""
        for change, (file, statement) in zip(self.changes, self.declared, strict=False):
            if change.action == "unchanged":
                continue
            reference = ModelReference.parse(statement.reference)
            version_id = self.foreseen.record(reference)
            if version_id is None:
                version_id = self.foreseen.before.function(statement.name).version_id
            if change.action in ("create", "change"):
                self.registrar.create(
                    statement.name,
                    statement.reference,
                    Options(**statement.options),
                    replace=True,
                    owner_of=self.owner_of,
                    file=file,
                    version_id=version_id,
                )
            elif reference.alias is not None:
                self.registrar.catalog.move_alias(reference.model, reference.alias, version_id)

    def prune(self) -> None:
        """Drop the functions that are to go."""
        for name in self.dropped:
            self.registrar.catalog.drop_function(name)


def plan_functions(
    registrar: Registrar, declared: Sequence[DeclaredFunction], owner_of: OwnerOf, *, prune: bool
) -> FunctionsPlan:
    """Find out what the files change; models that are new are fetched, tried and proved, and nothing is recorded.

    Args:
        registrar: what knows the catalog and the models.
        declared: by the project's files.
        owner_of: what in the engine has a name already.
        prune: whether functions that a file has declared, and no file declares now, are dropped.

    Raises:
        BadFile: what stands against a declaration.
        RegistryUnreachable: the registry doesn't answer.
    """
    foreseen = Foreseen(registrar)
    changes = []
    for one in declared:
        with about(one.file):
            changes.append(_change(registrar, foreseen, one, owner_of))
    names = {one.statement.name.casefold() for one in declared}
    held = foreseen.before.functions.items()
    removed = [function for key, function in held if function.file is not None and key not in names]
    changes += [removal("function", function.name, function.file, prune=prune) for function in removed]
    dropped = tuple(function.name for function in removed) if prune else ()
    for name in dropped:
        foreseen.drop(name)
    return FunctionsPlan(registrar, owner_of, tuple(declared), tuple(changes), foreseen, dropped)


def _change(registrar: Registrar, foreseen: Foreseen, one: DeclaredFunction, owner_of: OwnerOf) -> Change:
    file, statement = one
    reference, options = ModelReference.parse(statement.reference), Options(**statement.options)
    held = foreseen.before.functions.get(statement.name.casefold())
    differences = () if held is None else tuple(_differences(held, one, reference, options))
    if held is None or differences:
        registrar.check_name(statement.name, owner_of, replace=True, among=foreseen.snapshot())
        foreseen.put(statement.name, reference, options, file)
        if held is None:
            return Change("function", "create", statement.name, file, means=(f"from {reference.text}",))
        if reference.text == held.reference:
            differences += _moved(foreseen, statement.name)
        return Change("function", "change", statement.name, file, differences)
    if held.alias is not None and registrar.moved_to(held.name) is not None:
        foreseen.move(reference.model, held.alias)
        if moved := _moved(foreseen, held.name):
            return Change("function", "sync", held.name, file, moved, (f"@{held.alias} has moved",))
    return Change("function", "unchanged", held.name, file, means=(f"at {held.reference}",))


def _differences(
    held: Function, one: DeclaredFunction, reference: ModelReference, options: Options
) -> Iterator[Difference]:
    for what, before, after in (
        ("name", held.name, one.statement.name),
        ("model", held.reference, reference.text),
        ("on_null", held.on_null, options.on_null),
        ("strategy", held.strategy, options.strategy),
        ("comment", held.comment, options.comment),
        ("file", held.file, one.file),
    ):
        if before != after:
            yield Difference(what, before, after)


def _moved(foreseen: Foreseen, name: str) -> tuple[Difference, ...]:
    """The versions before and after, where they differ."""
    moved = {key.casefold(): versions for key, versions in foreseen.moved().items()}.get(name.casefold())
    return (Difference("version", *moved),) if moved else ()
