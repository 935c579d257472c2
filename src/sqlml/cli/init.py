"""`sqlml init`: a project folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sqlml.cli.options import Debug, Output
from sqlml.cli.printing import print_json
from sqlml.config import PROJECT_FILE, STATE_FOLDER

SETTINGS = """\
# What sqlml is told in this folder and below it. Each key is also an environment variable, which wins:
# SQLML_REGISTRY, SQLML_DATABASE, ... 'sqlml doctor' shows where each value comes from.

[sqlml]
# The MLflow registry that models come from. Else MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI, else mlflow.db here.
# registry = "http://localhost:5000"

# The DuckDB file that holds your tables, taken from this folder. Else a database in memory.
# database = "warehouse.duckdb"

# Where functions and their versions are kept, as a SQLAlchemy URL. Else a SQLite file in .sqlml/.
# catalog = "postgresql://user@host/sqlml"

# "data" refuses a model whose file runs code when it is loaded (pickle); "pickle" loads it.
trust = "data"

# The zone in which timestamps without one are meant.
time_zone = "UTC"

# Whether kernels run inside DuckDB ("auto") or answer it through Arrow ("off").
# native = "auto"
"""

FUNCTIONS = """\
-- One file a function, or several in one: 'sqlml apply' brings the catalog to what the files here say.
--
-- CREATE FUNCTION delay_risk USING MODEL 'models:/delay_risk@champion'
--   OPTIONS (on_null = 'propagate', comment = 'How likely a flight is to be late');
"""

QUERIES = """\
-- Queries of the project: sqlml sql --file sql/example.sql
SELECT 42 AS answer;
"""

FILES = {
    PROJECT_FILE: SETTINGS,
    "udfs/functions.sql": FUNCTIONS,
    "sql/example.sql": QUERIES,
    ".gitignore": f"# What sqlml and MLflow leave here.\n{STATE_FOLDER}/\nmlflow.db\nmlruns/\nmlartifacts/\ntables/\n",
}


def init(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="The folder; made if it is not there.")] = Path("."),
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be made, and make nothing.")] = False,
    output: Output = "text",
    debug: Debug = False,
) -> None:
    """Make a project folder; a file that is there stays as it is.

    Example:
      sqlml init my_project
    """
    made, kept = [], []
    for name, text in FILES.items():
        path = folder / name
        # A folder with queries of its own needs no example.
        if path.exists() or (path.suffix == ".sql" and path.parent.is_dir()):
            kept.append(name)
            continue
        made.append(name)
        if not plan:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
    if output == "json":
        print_json({"folder": str(folder.resolve()), "made": made, "kept": kept, "plan": plan})
        return
    verb = "would make" if plan else "made"
    lines = [f"{verb:<11} {name}" for name in made] + [f"{'kept':<11} {name}" for name in kept]
    sys.stdout.write("".join(f"{line}\n" for line in lines + _next(folder)))


def _next(folder: Path) -> list[str]:
    steps = [] if folder.resolve() == Path.cwd() else [f"  cd {folder}"]
    steps += [
        "  sqlml doctor                                  # is everything there?",
        "  sqlml log model.skops --name m --alias champion --signature-from data.csv",
        "  sqlml functions register m models:/m@champion",
        '  sqlml sql "SELECT m(t) FROM t"',
    ]
    ignored = folder / ".gitignore"
    if ignored.is_file() and f"{STATE_FOLDER}/" not in ignored.read_text(encoding="utf-8"):
        steps.insert(0, f"  echo '{STATE_FOLDER}/' >> {ignored}                   # it is sqlml's own")
    return ["", "Next:", *steps]
