"""A plan, printed."""

from __future__ import annotations

import sys
from typing import Literal

from sqlml.cli.outputs.objects import dumped
from sqlml.session import Session


def print_plan(session: Session, text: str, output: Literal["text", "json"], *, analyze: bool = False) -> None:
    """Print what a statement would do, and with `analyze` what it took, with and without its rewrites."""
    plan = session.explain(text)
    counted = session.analyze(text) if analyze else None
    held = plan.to_json() | ({"analysis": counted.to_json()} if counted else {})
    lines = [str(plan).rstrip("\n"), *([str(counted)] if counted else [])]
    sys.stdout.write((dumped(held, indent=2) if output == "json" else "\n".join(lines)) + "\n")
