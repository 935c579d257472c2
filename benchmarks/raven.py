"""The Raven paper's workloads by shape, with and without rewrites of the query: `python benchmarks/raven.py --write`.

Beside sqlml stand the model's own predict and MLflow's pyfunc, each as a function on Arrow batches in the same query;
they answer fewer rows, and their time is scaled to all. What each path answers is compared first.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import mlflow
from measuring import PAGE, medians, publish, table
from raven_engines import ENGINES, Rows, Work, load, project, told
from raven_shapes import EDITION, PART_ROWS, SHAPES, TRAINED_ON, Shape, fitted
from threadpoolctl import threadpool_limits

import sqlml
from sqlml.query.passes import NAMES

MODES = ("none", *NAMES, "all")
OF_FLIGHTS = "SELECT count(*) FROM flights_ready AS f WHERE carrier = 'AA' AND delay_risk_score(f) > 0.8"

Run = Callable[[], Rows]


class Taken(NamedTuple):
    """Of a query: seconds by path, and milliseconds of planning by mode."""

    work: Work
    seconds: Mapping[str, float]
    planning: Mapping[str, float]


def main() -> None:
    options = arguments()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with threadpool_limits(limits=1), ENGINES[options.engine](options) as engine:
        parts = []
        if wanted := [shape for shape in SHAPES.values() if works(shape, options)]:
            parts = shown(options, [taken for shape in wanted for taken in measured(engine, shape, options)])
        if options.engine == "duckdb" and (not options.only or "demo" in options.only):
            parts.append(of_the_demo(options))
    publish(f"raven-{options.engine}", "\n\n".join(parts), options.write, packages=engine.packages)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help=f"of each fact table; in parts of {PART_ROWS:,}")
    parser.add_argument(
        "--slow-rows",
        type=int,
        help="of it, those that functions on Arrow answer; a job of Spark's"
        " starts slowly, so that it needs more of them",
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "sqlml-raven")
    parser.add_argument("--project", type=Path, default=Path("sqlml-demo"), help="the demo's folder; made if it isn't")
    parser.add_argument("--only", nargs="*", default=[], help="shapes, functions, kinds of query, 'demo'")
    parser.add_argument("--modes", nargs="*", default=MODES, choices=MODES, help="of the rewrites")
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE)
    options = parser.parse_args()
    slow = options.slow_rows or {"duckdb": 200_000, "spark": 1_000_000}[options.engine]
    options.slow_rows = min(options.rows, slow)
    options.rows, options.slow_rows = (max(1, n // PART_ROWS) * PART_ROWS for n in (options.rows, options.slow_rows))
    options.data = options.data.absolute() / f"edition-{EDITION}"
    return options


def works(shape: Shape, options: argparse.Namespace) -> list[Work]:
    """What is asked for: of each sort of words in `--only`, one must fit."""
    sorts = [
        SHAPES.keys() | {model for held in SHAPES.values() for model in held.models} | {"demo"},
        shape.queries.keys(),
    ]
    asked = [set(options.only) & sort for sort in sorts]
    return [
        Work(shape, model, kind)
        for model in shape.models
        for kind in shape.queries
        if (not asked[0] or {shape.name, model} & asked[0]) and (not asked[1] or kind in asked[1])
    ]


# The rows and the models


def make_models(shape: Shape, options: argparse.Namespace) -> None:
    """Each model trained and registered, and saved once more so that pyfunc answers probabilities."""
    missing = [model for model in shape.models if not (options.data / "models" / model).exists()]
    if not missing:
        return
    with duckdb.connect() as con:
        load(con, shape, options, PART_ROWS)
        wanted = ", ".join(f"{column} AS {argument}" for argument, column in shape.inputs.items())
        rows = con.sql(f"SELECT {wanted}, {shape.fact.label} FROM {shape.joined} LIMIT {TRAINED_ON}").df()
    label = rows.pop(shape.fact.label)
    for name in missing:
        told(f"{name} is trained on {len(rows):,} rows")
        model = fitted(shape, name, rows, label)
        with sqlml.connect(project=project(options)) as db:
            registry = db.settings.registry_uri
            sqlml.log_model(model, name=name, signature_from=rows.head(1000), alias="champion", registry=registry)
            db.sql(f"CREATE OR REPLACE FUNCTION {name} USING MODEL 'models:/{name}@champion'")
        saved = options.data / "models" / f"{name}.new"
        shutil.rmtree(saved, ignore_errors=True)
        mlflow.sklearn.save_model(
            model,
            saved,
            signature=mlflow.models.infer_signature(rows.head(1000)),
            pyfunc_predict_fn="predict" if shape.name == "hospital" else "predict_proba",
            serialization_format="cloudpickle",
        )
        saved.rename(saved.with_suffix(""))


# The measuring


def measured(engine: Any, shape: Shape, options: argparse.Namespace) -> Iterator[Taken]:
    make_models(shape, options)
    told(f"{shape.name}: {options.rows:,} rows are opened")
    with engine.opened(shape) as (modes, ours, sample):
        calls: dict[str, dict[str, str]] = {}
        for work in works(shape, options):
            if work.model not in calls:
                calls[work.model] = engine.add(sample, work, options.data / "models" / work.model)
            yield measure(engine, work, (modes, ours, sample), calls[work.model], options)


def measure(
    engine: Any, work: Work, places: tuple[Mapping[str, Any], Any, Any], calls: Mapping[str, str], options: Any
) -> Taken:
    """Compare what the paths answer, and then time them."""
    modes, ours, sample = places
    text, trivial = work.text(work.ours()), work.text(work.trivial())
    some: dict[str, Run] = {name: lambda c=call: engine.rows(sample, work.text(c)) for name, call in calls.items()}
    compare(work, {"sqlml on the sample": engine.rows(ours, text)} | {name: run() for name, run in some.items()})
    every: dict[str, Run] = {mode: lambda db=db: engine.rows(db, text) for mode, db in modes.items()}
    compare(work, {mode: run() for mode, run in every.items()})
    plain = next(iter(modes.values()))
    every["trivial"] = lambda: engine.rows(plain, trivial)
    scale = options.rows / options.slow_rows
    slow = {name: taken * scale for name, taken in medians(some, max(1, options.repetitions // 2)).items()}
    seconds = medians(every, options.repetitions) | slow
    planning = {mode: planned(db, text) for mode, db in modes.items()}
    told(f"{work.title}: {', '.join(f'{name} {taken:.3f}' for name, taken in seconds.items())}")
    return Taken(work, seconds, planning)


def planned(db: sqlml.Session, text: str) -> float:
    """Milliseconds until a query's plan is there."""
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        db.explain(text)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def compare(work: Work, answers: Mapping[str, Rows]) -> None:
    """Stop where paths differ; of rows in an order, those that tie may be any of them."""
    (first, wanted), *others = answers.items()
    for name, rows in others:
        part = slice(-1, None) if work.kind == "topk" else slice(None)
        if [len(row) for row in rows] != [len(row) for row in wanted] or not all(
            same(this, that)
            for row, other in zip(rows, wanted, strict=True)
            for this, that in zip(row[part], other[part], strict=True)
        ):
            sys.exit(f"{work.title}: {name} answers {str(rows)[:300]}, and {first} {str(wanted)[:300]}")


def same(this: Any, that: Any) -> bool:
    if isinstance(this, float) and isinstance(that, float):
        return math.isclose(this, that, rel_tol=1e-9)
    return bool(this == that)


# The tables


def shown(options: argparse.Namespace, found: Sequence[Taken]) -> list[str]:
    last = options.modes[-1]
    return [paths_shown(options, found, last), *([rewrites_shown(found)] if {"none"} < set(options.modes) else [])]


def paths_shown(options: argparse.Namespace, found: Sequence[Taken], last: str) -> str:
    rows = []
    for work, seconds, _ in found:
        paths = ("UDF", "pyfunc", "none")
        figures = [f"{seconds.get(name, math.nan):.3f}" for name in (*paths, last, "trivial")]
        ratios = [f"{seconds.get(name, math.nan) / seconds[last]:.2f}" for name in paths]
        rows.append([work.title, *figures, *ratios])
    title = (
        f"**Raven's workloads**: {options.rows:,} rows in the fact table; seconds. (a) is the model's own predict and"
        f" (b) MLflow's pyfunc as a function on Arrow batches, measured on {options.slow_rows:,} rows and scaled;"
        f" (c) is sqlml without rewrites and (e) with `rewrites = '{last}'`; the last of the seconds are those of the"
        " query with a sum of the same columns in the model's place."
    )
    names = ["query", "(a) own UDF", "(b) pyfunc UDF", "(c) none", f"(e) {last}", "no model"]
    return f"{title}\n\n{table([*names, 'a : e', 'b : e', 'c : e'], rows)}"


def rewrites_shown(found: Sequence[Taken]) -> str:
    """Each rewrite alone beside none, and what planning takes."""
    modes = [mode for mode in found[0].planning if mode != "none"]
    rows = [
        [work.title]
        + [f"{seconds['none'] / seconds[mode]:.1f}" for mode in modes]
        + [f"{planning[mode]:.1f}" for mode in ("none", modes[-1])]
        for work, seconds, planning in found
    ]
    names = ["query", *modes, "planning, none", f"planning, {modes[-1]}"]
    title = "**Each rewrite alone**: how many times as fast as none, and milliseconds of planning."
    return f"{title}\n\n{table(names, rows)}"


def of_the_demo(options: argparse.Namespace) -> str:
    """A query of the demo's flights, on a copy of its folder."""
    if not (options.project / "flights.duckdb").exists():
        command = [sys.executable, "-m", "sqlml", "demo", str(options.project)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    told("the demo's flights")
    rows = []
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as held:
        folder = Path(shutil.copytree(options.project, Path(scratch) / "project"))
        con = held.enter_context(duckdb.connect(folder / "flights.duckdb"))
        modes = {}
        for mode in options.modes:
            modes[mode] = held.enter_context(sqlml.connect(con.cursor(), project=folder, rewrites=mode))
        found = {mode: db.sql(OF_FLIGHTS).fetchall() for mode, db in modes.items()}
        assert len(set(map(str, found.values()))) == 1, found
        taken = medians(
            {m: lambda db=db: db.sql(OF_FLIGHTS).fetchall() for m, db in modes.items()}, options.repetitions + 6
        )
        first = next(iter(taken.values()))
        for mode, db in modes.items():
            figures = [f"{taken[mode] * 1000:.1f}", f"{first / taken[mode]:.1f}", f"{planned(db, OF_FLIGHTS):.1f}"]
            rows.append([mode, *figures])
    title = f"**The demo's flights**: `{OF_FLIGHTS}`; milliseconds."
    return f"{title}\n\n{table(['rewrites', 'query', 'times as fast', 'of it, planning'], rows)}"


if __name__ == "__main__":
    main()
