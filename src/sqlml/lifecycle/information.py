"""What a user may know of a function, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlml.catalog import Proof, Snapshot
from sqlml.models.description import Argument, Description
from sqlml.planner import choose_strategy
from sqlml.types import Output


@dataclass(frozen=True)
class FunctionInfo:
    """A function of the catalog: what it takes, what it gives, and which model version answers now."""

    name: str
    reference: str
    model: str
    version: str
    alias: str | None
    run_id: str | None
    kind: str
    arguments: tuple[Argument, ...]
    returns: str
    outputs: tuple[Output, ...]
    classes: tuple[Any, ...] | None
    label: str | None
    strategy: str
    reason: str
    on_null: str
    comment: str | None
    flavour: str
    format: str
    requirements: tuple[str, ...]
    proof: Proof | None
    created_at: datetime
    updated_at: datetime

    @property
    def signature(self) -> str:
        """The arguments as they are written in a call.

        Example: `distance DOUBLE, carrier VARCHAR`.
        """
        return ", ".join(f"{argument.name} {argument.type}" for argument in self.arguments)


def information(snapshot: Snapshot, name: str, proof_of: Callable[[int, str], Proof | None]) -> FunctionInfo:
    """What the catalog knows of a function; raises UnknownFunction. `proof_of` gives a version's, by strategy."""
    function = snapshot.function(name)
    version = snapshot.versions[function.version_id]
    held = Description.from_json(version.description)
    strategy, reason = choose_strategy(function, held)
    return FunctionInfo(
        name=function.name,
        reference=function.reference,
        model=version.model,
        version=version.version,
        alias=function.alias,
        run_id=version.run_id,
        kind=held.kind,
        arguments=held.arguments,
        returns=held.returns.sql,
        outputs=tuple(output for output in held.outputs() if output != "probs"),
        classes=held.classes,
        label=held.label,
        strategy=strategy,
        reason=reason,
        on_null=function.on_null,
        comment=function.comment,
        flavour=held.flavour,
        format=held.format,
        requirements=held.requirements,
        proof=proof_of(function.version_id, strategy),
        created_at=function.created_at,
        updated_at=function.updated_at,
    )
