"""Seconds until a new process has answered: `python benchmarks/coldstart.py --write`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from measuring import arguments, medians, publish, table

PYFUNC = """
import mlflow, pandas
mlflow.set_tracking_uri("sqlite:///mlflow.db")
row = pandas.DataFrame({"island": ["Dream"], "sex": ["male"], "bill_length_mm": [44.0], "bill_depth_mm": [18.0],
                        "flipper_length_mm": [190.0], "body_mass_g": [3700.0]})
print(mlflow.pyfunc.load_model("models:/species@champion").predict(row))
"""


def main() -> None:
    options = arguments(__doc__)

    def process(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run(
            [sys.executable, *command], cwd=options.project, check=True, capture_output=True, text=True
        )

    paths = {
        "`python -c pass`": process("-c", "pass"),
        '`sqlml sql "SELECT 42"`': process("-m", "sqlml", "sql", "SELECT 42"),
        '`sqlml sql "SELECT species(p) FROM penguins p LIMIT 1"`': process(
            "-m", "sqlml", "sql", "SELECT species(p) FROM penguins p LIMIT 1"
        ),
        '`python -c "import mlflow"`': process("-c", "import mlflow"),
        'mlflow: `load_model("models:/species@champion").predict(row)`': process("-c", PYFUNC),
    }
    for run in paths.values():
        run()
    seconds = medians(paths, options.repetitions)
    least = seconds['`sqlml sql "SELECT 42"`']
    rows = [[name, f"{taken:.2f}", f"{taken / least:.1f}"] for name, taken in seconds.items()]
    publish("coldstart", table(["a new process", "seconds", "in units of `SELECT 42`"], rows), options.write)


if __name__ == "__main__":
    main()
