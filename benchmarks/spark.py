"""sqlml on Spark beside MLflow's spark_udf and PySpark ML, on this machine: `python benchmarks/spark.py --write`.

Every path reads the same Parquet files and answers with one sum, or writes its answers as Parquet; what they answer is
compared first. CPU is that of the JVM and of all Python processes together.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import PAGE, publish, table
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEATURES = [f"x{i}" for i in range(28)]
FILE_ROWS = 1_000_000
TRAINED_ON = 40_000
MODELS = {
    "logistic": "scaler, logistic regression",
    "boosted": "LightGBM 100 x 31",
    "forest": "RandomForest 100 x depth 10",
}
OF_SPARK = {"spark_logistic": "logistic regression of PySpark ML", "spark_boosted": "its GBT, 100 x depth 6"}

Path_ = Callable[[], object]
Cost = tuple[float, float]
"""Seconds on the wall, and of all processors."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the table; twice as many at the end")
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where data and models are made, and kept for the next time")
    parser.add_argument(
        "--only", nargs="*", choices=STEPS, help="some of the tables, which are printed and not written"
    )
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, default=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step is not None:
        print(json.dumps(IN_A_PROCESS[options.step](options)))
        return
    with contextlib.ExitStack() as held:
        if options.folder is None:
            options.folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        options.folder = options.folder.absolute()
        make_rows(options)
        if not (options.folder / "made").exists():
            step("models", options)
            (options.folder / "made").touch()
        for name in options.only or STEPS:
            publish(f"spark-{name}", STEPS[name](options), options.write, ["pyspark"])


def step(name: str, options: argparse.Namespace, cores: int = 2) -> Any:
    """A part in a process of its own, which has a Spark session of its own; gives what it printed last."""
    command = [sys.executable, __file__, "--step", name, "--folder", str(options.folder), "--rows", str(options.rows)]
    command += ["--repetitions", str(options.repetitions), "--cores", str(cores)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# The rows and the models


def make_rows(options: argparse.Namespace) -> None:
    """Files of a million rows, as many as the longest table needs."""
    folder = options.folder / "wide"
    folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "sqlml.toml").touch()
    for number in range(2 * options.rows // FILE_ROWS):
        target = folder / f"{number:03}.parquet"
        if not target.exists():
            matrix = np.random.default_rng(number).normal(size=(FILE_ROWS, len(FEATURES)))
            held = pa.table(dict(zip(FEATURES, matrix.T, strict=True)))
            pq.write_table(held, target.with_suffix(".new"), row_group_size=125_000, use_dictionary=False)
            target.with_suffix(".new").rename(target)


def files(options: argparse.Namespace, rows: int) -> list[str]:
    return [str(path) for path in sorted((options.folder / "wide").glob("*.parquet"))[: max(1, rows // FILE_ROWS)]]


def make_models(options: argparse.Namespace) -> None:
    """Each model trained and registered; Spark's own are given to sqlml weight by weight and tree by tree."""
    import sqlml

    rows = pd.read_parquet(files(options, 1)[0]).head(TRAINED_ON)
    matrix = rows.to_numpy()
    score = matrix[:, 0] * matrix[:, 1] + np.sin(matrix[:, 2]) + 0.3 * matrix[:, 3:9].sum(axis=1)
    label = (score + np.random.default_rng(1).normal(size=len(rows)) > 0).astype(int)
    fitted = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
        "boosted": lightgbm.LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1),
        "forest": RandomForestClassifier(100, max_depth=10, n_jobs=1),
    }
    for model in fitted.values():
        model.fit(rows, label)
    with spark_session(options) as spark:
        given = assembled(spark.createDataFrame(pa.table(rows).append_column("label", pa.array(label.astype(float)))))
        fitted |= {"spark_logistic": spark_logistic(options, given), "spark_boosted": spark_boosted(options, given)}
    with sqlml.connect(project=options.folder) as db:
        for name, model in fitted.items():
            logged = rows.head(1000)
            sqlml.log_model(
                model, name=name, signature_from=logged, alias="champion", registry=db.settings.registry_uri
            )
            db.sql(f"CREATE OR REPLACE FUNCTION {name} USING MODEL 'models:/{name}@champion'")
            db.sql(
                f"CREATE OR REPLACE FUNCTION {name}_arrow USING MODEL 'models:/{name}@champion' "
                "OPTIONS (strategy = 'kernel')"
            )


def spark_logistic(options: argparse.Namespace, given: Any) -> Any:
    from pyspark.ml.classification import LogisticRegression as SparkLogistic

    model = SparkLogistic().fit(given)
    model.write().overwrite().save(str(options.folder / "spark_logistic"))
    same = LogisticRegression()
    same.coef_, same.intercept_ = model.coefficients.toArray()[None, :], np.array([model.intercept])
    same.classes_, same.n_features_in_, same.n_iter_ = np.array([0, 1]), len(FEATURES), np.array([1])
    same.feature_names_in_ = np.array(FEATURES, dtype=object)
    return same


def spark_boosted(options: argparse.Namespace, given: Any) -> Any:
    from pyspark.ml.classification import GBTClassifier

    model = GBTClassifier(maxIter=100, maxDepth=6, seed=1).fit(given)
    place = options.folder / "spark_boosted"
    model.write().overwrite().save(str(place))
    nodes = pd.concat(pd.read_parquet(path) for path in sorted((place / "data").glob("*.parquet")))
    trees = [
        lightgbm_tree(number, [row["nodeData"] for _, row in rows.iterrows()], weight)
        for (number, rows), weight in zip(nodes.groupby("treeID"), model.treeWeights, strict=True)
    ]
    head = [
        "tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0",
        f"max_feature_idx={len(FEATURES) - 1}", "objective=binary sigmoid:2", f"feature_names={' '.join(FEATURES)}",
        f"feature_infos={' '.join(['[-100:100]'] * len(FEATURES))}",
        f"tree_sizes={' '.join(str(len(tree) + 1) for tree in trees)}",
    ]  # fmt: skip
    text = "\n".join([*head, "", "\n".join(trees), "end of trees", "", "parameters:", "end of parameters", ""])
    return lightgbm.Booster(model_str=text)


def lightgbm_tree(number: int, rows: list[Any], weight: float) -> str:
    """A tree of Spark's as LightGBM writes it: both go to the left where the value is at most the threshold."""
    held = {row["id"]: row for row in rows}
    inner = [row for row in rows if row["leftChild"] >= 0]
    leaves = [row for row in rows if row["leftChild"] < 0]
    place = {row["id"]: i for i, row in enumerate(inner)} | {row["id"]: ~i for i, row in enumerate(leaves)}
    assert held.keys() == place.keys()

    def line(name: str, values: Any) -> str:
        return f"{name}={' '.join(str(value) for value in values)}"

    return "\n".join([
        f"Tree={number}", f"num_leaves={len(leaves)}", "num_cat=0",
        line("split_feature", [row["split"]["featureIndex"] for row in inner]),
        line("split_gain", [1] * len(inner)),
        line("threshold", [repr(float(row["split"]["leftCategoriesOrThreshold"][0])) for row in inner]),
        line("decision_type", [0] * len(inner)),
        line("left_child", [place[row["leftChild"]] for row in inner]),
        line("right_child", [place[row["rightChild"]] for row in inner]),
        line("leaf_value", [repr(float(row["prediction"]) * weight) for row in leaves]),
        line("leaf_weight", [1] * len(leaves)), line("leaf_count", [1] * len(leaves)),
        line("internal_value", [0] * len(inner)), line("internal_weight", [1] * len(inner)),
        line("internal_count", [1] * len(inner)), "is_linear=0", "shrinkage=1", "", "",
    ])  # fmt: skip


# What is measured with


@contextlib.contextmanager
def spark_session(options: argparse.Namespace) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    warnings.simplefilter("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = {
        "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.log.level": "FATAL", "spark.sql.session.timeZone": "UTC", "spark.driver.memory": "4g",
        "spark.ui.showConsoleProgress": "false", "spark.sql.warehouse.dir": str(options.folder / "warehouse"),
    }  # fmt: skip
    spark = SparkSession.builder.master(f"local[{options.cores}]").config(map=conf).getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


def assembled(frame: Any) -> Any:
    from pyspark.ml.feature import VectorAssembler

    return VectorAssembler(inputCols=FEATURES, outputCol="features").transform(frame)


def processors() -> float:
    """Seconds that this process and all below it have used."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def measured(paths: Mapping[str, Path_], repetitions: int) -> tuple[dict[str, Cost], dict[str, Any]]:
    """The medians of each path, which take turns, and what each gave."""
    taken: dict[str, list[Cost]] = {name: [] for name in paths}
    gave = {}
    for _ in range(repetitions):
        for name, run in paths.items():
            before, started = processors(), time.perf_counter()
            gave[name] = run()
            taken[name].append((time.perf_counter() - started, processors() - before))
    medians = {name: tuple(map(statistics.median, zip(*costs, strict=True))) for name, costs in taken.items()}
    return medians, gave  # type: ignore[return-value]


def udf(spark: Any, options: argparse.Namespace, name: str) -> Any:
    """MLflow's way."""
    import mlflow
    from pyspark.sql import functions as F  # noqa: N812

    mlflow.set_tracking_uri(f"sqlite:///{options.folder / 'mlflow.db'}")
    made = mlflow.pyfunc.spark_udf(spark, f"models:/{name}@champion", result_type="double", env_manager="local")
    return made(F.struct(*FEATURES))


def fresh(folder: Path) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    return str(folder)


# The steps


def against_mlflow(options: argparse.Namespace) -> dict[str, Any]:
    from pyspark.sql import functions as F  # noqa: N812

    import sqlml

    found = {}
    with spark_session(options) as spark, sqlml.connect(spark, project=options.folder) as db:
        frame = spark.read.parquet(*files(options, options.rows))
        frame.createOrReplaceTempView("wide")
        out = options.folder / "out"
        for name in MODELS:
            column = udf(spark, options, name)

            def summed(function: str) -> Path_:
                text = f"SELECT sum(CAST({function}(w) AS DOUBLE)) FROM wide AS w"
                return lambda: db.sql(text).collect()[0][0]

            text = f"SELECT {name}(w) AS label FROM wide AS w"
            paths: dict[str, Path_] = {
                "auto": summed(name),
                "arrow": summed(f"{name}_arrow"),
                "mlflow": lambda column=column: frame.select(F.sum(column)).collect()[0][0],
                "files": lambda text=text: db.write(text, fresh(out)),
                "mlflow writes": lambda column=column: frame.select(column.alias("label")).write.parquet(fresh(out)),
            }
            way = db.explain(f"SELECT {name}(w) FROM wide w").calls[0].target.strategy
            measured({"auto": paths["auto"], "files": paths["files"]}, 1)
            costs, gave = measured(paths, options.repetitions)
            assert gave["auto"] == gave["arrow"] == gave["mlflow"], gave
            assert gave["files"].way == "files"
            paths["files"]()
            assert spark.read.parquet(str(out)).select(F.sum("label")).collect()[0][0] == gave["mlflow"]
            found[name] = {"way": way, "costs": costs}
    return found


def against_pyspark(options: argparse.Namespace) -> dict[str, Any]:
    from pyspark.ml.classification import GBTClassificationModel, LogisticRegressionModel
    from pyspark.sql import functions as F  # noqa: N812

    import sqlml

    found = {}
    classes = {"spark_logistic": LogisticRegressionModel, "spark_boosted": GBTClassificationModel}
    with spark_session(options) as spark, sqlml.connect(spark, project=options.folder) as db:
        frame = spark.read.parquet(*files(options, options.rows))
        frame.createOrReplaceTempView("wide")
        for name, kind in classes.items():
            scored = kind.load(str(options.folder / name)).transform(assembled(frame))
            # LightGBM's booster answers with the probability, whose class this is.
            ours = f"CAST({name}(w) > 0.5 AS INT)" if name == "spark_boosted" else f"{name}(w)"
            text = f"SELECT sum({ours}) FROM wide AS w"
            paths: dict[str, Path_] = {
                "auto": lambda text=text: db.sql(text).collect()[0][0],
                "pyspark": lambda scored=scored: int(scored.select(F.sum("prediction")).collect()[0][0]),
            }
            way = db.explain(f"SELECT {name}(w) FROM wide w").calls[0].target.strategy
            measured({"auto": paths["auto"]}, 1)
            costs, gave = measured(paths, options.repetitions)
            assert gave["auto"] == gave["pyspark"], gave
            found[name] = {"way": way, "costs": costs}
    return found


def cold(options: argparse.Namespace, rows: int, *, ours: bool) -> dict[str, float]:
    """From a session that is up to the first answer."""
    with spark_session(options) as spark:
        frame = spark.read.parquet(*files(options, rows))
        if rows < FILE_ROWS:
            frame = frame.limit(rows).repartition(16).cache()
        frame.createOrReplaceTempView("wide")
        frame.count()
        started = time.perf_counter()
        if ours:
            import sqlml

            with sqlml.connect(spark, project=options.folder, publish="needed") as db:
                connected = time.perf_counter() - started
                db.sql("SELECT sum(logistic(w)) FROM wide AS w").collect()
        else:
            from pyspark.sql import functions as F  # noqa: N812

            column = udf(spark, options, "logistic")
            connected = time.perf_counter() - started
            frame.select(F.sum(column)).collect()
        return {"ready": connected, "answered": time.perf_counter() - started}


def warm(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a session, of a query of one row, and of each batch."""
    from pyspark.sql import functions as F  # noqa: N812

    import sqlml

    begun = time.perf_counter()
    with spark_session(options) as spark:
        found = {"session": time.perf_counter() - begun}
        with sqlml.connect(spark, project=options.folder) as db:
            few = 200_000
            spark.read.parquet(files(options, 1)[0]).limit(few).repartition(2).cache().createOrReplaceTempView("few")
            spark.sql("SELECT * FROM few LIMIT 1").cache().createOrReplaceTempView("one")
            columns = {name: udf(spark, options, name) for name in ("logistic",)}
            paths: dict[str, Path_] = {}
            for view in ("one", "few"):
                spark.table(view).count()
                paths[f"jvm {view}"] = lambda v=view: db.sql(f"SELECT sum(logistic(w)) FROM {v} w").collect()
                paths[f"arrow {view}"] = lambda v=view: db.sql(f"SELECT sum(logistic_arrow(w)) FROM {v} w").collect()
                frame = spark.table(view)
                paths[f"mlflow {view}"] = lambda f=frame: f.select(F.sum(columns["logistic"])).collect()
            measured(paths, 1)
            taken, _ = measured(paths, options.repetitions + 2)
            found |= {name: cost[0] for name, cost in taken.items() if name.endswith("one")}
            spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "100")
            small, _ = measured({name: run for name, run in paths.items() if name.endswith("few")}, options.repetitions)
            batches = few / 100 - few / 10_000
            # On two cores: each batch keeps one of them.
            found |= {f"batch {name}": 2 * (small[name][0] - taken[name][0]) / batches for name in small}
    return found


def growing(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of tables of several lengths."""
    import sqlml

    found = {}
    with spark_session(options) as spark, sqlml.connect(spark, project=options.folder) as db:
        out = options.folder / "out"
        for share in (0.1, 0.5, 1, 2):
            rows = int(options.rows * share)
            spark.read.parquet(*files(options, rows)).createOrReplaceTempView("wide")
            texts = {"jvm": "logistic", "arrow": "boosted_arrow"}
            paths: dict[str, Path_] = {
                way: lambda f=f: db.sql(f"SELECT sum({f}(w)) FROM wide AS w").collect() for way, f in texts.items()
            }
            paths["files"] = lambda: db.write("SELECT boosted(w) AS label FROM wide AS w", fresh(out))
            if share == 0.1:
                measured(paths, 1)
            found[str(rows)], _ = measured(paths, 1)
    return found


IN_A_PROCESS: Mapping[str, Callable[[argparse.Namespace], Any]] = {
    "models": make_models,
    "mlflow": against_mlflow,
    "pyspark": against_pyspark,
    "cold ours small": lambda options: cold(options, 10_000, ours=True),
    "cold mlflow small": lambda options: cold(options, 10_000, ours=False),
    "cold ours": lambda options: cold(options, options.rows, ours=True),
    "cold mlflow": lambda options: cold(options, options.rows, ours=False),
    "warm": warm,
    "growing": growing,
}


# The tables


def beside_mlflow(options: argparse.Namespace) -> str:
    found, lines = step("mlflow", options), []
    for name, title in MODELS.items():
        costs, way = found[name]["costs"], found[name]["way"]
        lines.append([f"{title}, {WAYS[way]} (`auto`)", *line(options, costs["auto"], costs["mlflow"])])
        if way != "kernel":
            lines.append([f"{title}, by Arrow", *line(options, costs["arrow"], costs["mlflow"])])
        lines.append([f"{title}, written file by file", *line(options, costs["files"], costs["mlflow writes"])])
    return compared(options, "MLflow's spark_udf", lines)


def beside_pyspark(options: argparse.Namespace) -> str:
    found = step("pyspark", options)
    lines = [
        [f"{title}, {WAYS[held['way']]} (`auto`)", *line(options, held["costs"]["auto"], held["costs"]["pyspark"])]
        for title, held in zip(OF_SPARK.values(), found.values(), strict=True)
    ]
    return compared(options, "PySpark ML's own transform of the same model", lines)


WAYS = {"jvm": "in the JVM", "kernel": "by Arrow"}


def line(options: argparse.Namespace, ours: Cost, theirs: Cost) -> list[str]:
    figures = [f"{second / options.rows * 1e9:,.0f}" for second in (*ours, *theirs)]
    return figures + [f"{that / this:.1f}" for this, that in zip(ours, theirs, strict=True)]


def compared(options: argparse.Namespace, against: str, lines: list[list[str]]) -> str:
    head = ["work", "sqlml", "its CPU", "theirs", "their CPU", "theirs : sqlml", "CPU"]
    return f"**Against {against}**: {options.rows:,} rows, two cores; nanoseconds a row.\n\n{table(head, lines)}"


def started(options: argparse.Namespace) -> str:
    rows = []
    for title, key in (("10,000 rows in 16 partitions", " small"), (f"{options.rows:,} rows", "")):
        runs = [{who: step(f"cold {who}{key}", options) for who in ("ours", "mlflow")} for _ in range(3 if key else 1)]
        ours, theirs = (
            {part: statistics.median(run[who][part] for run in runs) for part in ("ready", "answered")}
            for who in ("ours", "mlflow")
        )
        for part, what in (("ready", "until functions are there"), ("answered", f"until the first answer, {title}")):
            if part == "answered" or not key:
                rows.append([what, *seconds(ours[part], theirs[part])])
    taken = step("warm", options)
    rows.append(["a query of one row, in the JVM", *seconds(taken["jvm one"], taken["mlflow one"])])
    rows.append(["a query of one row, by Arrow", *seconds(taken["arrow one"], taken["mlflow one"])])
    batch = [taken[f"batch {way} few"] * 1000 for way in ("arrow", "mlflow")]
    rows.append(["each batch of Arrow, milliseconds", *seconds(*batch)])
    text = table(["a session that is up", "sqlml, s", "spark_udf, s", "ratio"], rows)
    return f"**Starting**: seconds, logistic regression. Spark's own session took {taken['session']:.1f}.\n\n{text}"


def seconds(ours: float, theirs: float) -> list[str]:
    return [f"{ours:.4f}" if ours < 0.1 else f"{ours:.2f}", f"{theirs:.4f}" if theirs < 0.1 else f"{theirs:.2f}",
            f"{theirs / ours:.1f}"]  # fmt: skip


def grown(options: argparse.Namespace) -> str:
    found = {cores: step("growing", options, cores) for cores in (1, 2)}
    rows = []
    for count, costs in found[2].items():
        for way, title in (
            ("jvm", "logistic, in the JVM"),
            ("arrow", "LightGBM, by Arrow"),
            ("files", "LightGBM, files"),
        ):
            one, two = found[1][count][way][0], costs[way][0]
            rows.append([title, f"{int(count):,}", f"{one:.2f}", f"{two:.2f}", f"{one / two:.2f}"])
    rows.sort(key=lambda row: row[0])
    return f"**Growing**: seconds.\n\n{table(['work', 'rows', '1 core', '2 cores', 'ratio'], rows)}"


STEPS: Mapping[str, Callable[[argparse.Namespace], str]] = {
    "mlflow": beside_mlflow,
    "pyspark": beside_pyspark,
    "started": started,
    "grown": grown,
}


if __name__ == "__main__":
    main()
