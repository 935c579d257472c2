"""What the benchmarks share: interleaved repetitions, tables in Markdown, and the page that they are written to."""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

PAGE = Path("docs/performance.md")
PACKAGES = ("duckdb", "mlflow", "scikit-learn", "lightgbm", "pandas", "pyarrow")


def arguments(about: str) -> argparse.Namespace:
    """The options of every benchmark."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--project", type=Path, default=Path("sqlml-demo"), help="the demo's folder; made if it isn't")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--write", type=Path, nargs="?", const=PAGE, help=f"put the table into a page; {PAGE} unless said"
    )
    found = parser.parse_args()
    if not (found.project / "flights.duckdb").exists():
        subprocess.run([sys.executable, "-m", "sqlml", "demo", str(found.project)], check=True, stdout=sys.stderr)
    return found


def medians(paths: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """The median of each path's seconds: one after the other and again, so that a busy moment falls on all of them."""
    taken: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(repetitions):
        for name, run in paths.items():
            started = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def table(names: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    lines = [names, ["---"] + ["---:"] * (len(names) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(*more: str) -> str:
    """What the numbers were measured on; `more` are packages besides those of every benchmark."""
    packages = ", ".join(f"{name} {version(name)}" for name in (*PACKAGES, *more))
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {packages}."


def publish(name: str, text: str, page: Path | None, packages: Sequence[str] = ()) -> None:
    """Print a text, and put it into a page between the marks of that name."""
    text = f"{text}\n\n{machine(*packages)}"
    print(f"\n{text}")
    if page is None:
        return
    before = page.read_text(encoding="utf-8")
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marked.search(before):
        sys.exit(f"{page} has no mark '<!-- {name} -->'")
    page.write_text(marked.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", before), encoding="utf-8")
