"""A plan, printed."""

from __future__ import annotations

import sys
from typing import Literal

from sqlml.cli.outputs.objects import dumped
from sqlml.session import Session


def print_plan(session: Session, text: str, output: Literal["text", "json"]) -> None:
    """Print what a statement would do."""
    plan = session.explain(text)
    sys.stdout.write((dumped(plan.to_json(), indent=2) if output == "json" else str(plan).rstrip("\n")) + "\n")
