"""What was worked out of a program is kept: the same query comes again, and others ask the same of the same model."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlml.programs import cut as cutting
from sqlml.programs import margin as margins
from sqlml.programs import prune as pruning
from sqlml.programs.cost import count
from sqlml.programs.cut import Cut
from sqlml.programs.margin import Margin
from sqlml.programs.program import Program, Ref
from sqlml.programs.prune import Domain

Domains = tuple[tuple[int, Domain], ...]
_KEPT = 256


@dataclass(frozen=True)
class _Held:
    """A program, which is what its digest says."""

    digest: str
    program: Program = field(compare=False)


def _held(program: Program) -> _Held:
    return _Held(program.digest, program)


def _fixed(domains: Mapping[int, Domain]) -> Domains:
    return tuple(sorted(domains.items(), key=lambda pair: pair[0]))


def specialized(program: Program, domains: Mapping[int, Domain]) -> Program:
    """`sqlml.programs.prune.specialize`."""
    return _specialized(_held(program), _fixed(domains))


@functools.lru_cache(_KEPT)
def _specialized(held: _Held, domains: Domains) -> Program:
    return pruning.specialize(held.program, dict(domains))


def cut(program: Program, groups: Sequence[frozenset[int]], domains: Mapping[int, Domain]) -> Cut:
    """`sqlml.programs.cut.cut`."""
    return _cut(_held(program), tuple(groups), _fixed(domains))


@functools.lru_cache(_KEPT)
def _cut(held: _Held, groups: tuple[frozenset[int], ...], domains: Domains) -> Cut:
    return cutting.cut(held.program, groups, dict(domains))


def is_total(program: Program, domains: Mapping[int, Domain]) -> bool:
    """`sqlml.programs.cut.is_total`."""
    return _is_total(_held(program), _fixed(domains))


@functools.lru_cache(_KEPT)
def _is_total(held: _Held, domains: Domains) -> bool:
    return cutting.is_total(held.program, dict(domains))


def margin(program: Program, refs: Sequence[Ref]) -> Margin | None:
    """`sqlml.programs.margin.margin`."""
    return _margin(_held(program), tuple(refs))


@functools.lru_cache(_KEPT)
def _margin(held: _Held, refs: tuple[Ref, ...]) -> Margin | None:
    return margins.margin(held.program, refs)


def steps(program: Program) -> int:
    """What all its heads take, as one number of operations."""
    return _steps(_held(program))


@functools.lru_cache(_KEPT)
def _steps(held: _Held) -> int:
    return count(held.program, [ref for refs in held.program.heads.values() for ref in refs]).steps
