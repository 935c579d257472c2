"""What every engine does alike: the same statements, the model's own answers, the same errors. No test asks which."""

from __future__ import annotations

import math
from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sqlml
from sql import world as worlds
from sql.asking import answers, same
from sql.world import World
from sqlml.errors import (
    AmbiguousColumn,
    BadCast,
    EngineError,
    MissingArguments,
    NoSuchOutput,
    NullArgument,
    PredictionFailed,
    SqlmlError,
    UnknownArgument,
    UnknownCategory,
    UnknownFunction,
    WrongCount,
)


@pytest.fixture(scope="session")
def contract_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Every model, and `churn` once by each strategy."""
    found = worlds.build(tmp_path_factory.mktemp("contract"))
    with sqlml.connect(project=found.folder) as session:
        for strategy in ("kernel", "sql", "jvm", "python"):
            session.register(f"churn_by_{strategy}", "models:/churn@champion", strategy=strategy)
    return found


class Asked:
    """A session of one engine: tables in, rows out, the same way for each."""

    def __init__(self, session: sqlml.Session, engine: str) -> None:
        self.session, self.engine = session, engine

    def table(self, name: str, rows: pd.DataFrame | pa.Table) -> None:
        held = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
        if self.engine == "spark":
            self.session._engine.session.createDataFrame(held).createOrReplaceTempView(name)
        else:
            self.session._engine.connection.sql(f"CREATE OR REPLACE TABLE {name} AS FROM held")

    def rows(self, text: str, params: object = None) -> list[tuple]:
        found: list[tuple] = self.session.relation(self.session.sql(text, params)).fetchall()
        return found

    def column(self, text: str, params: object = None) -> list:
        return [row[0] for row in self.rows(text, params)]

    def refused(self, error: type[SqlmlError], text: str) -> str:
        """The message of the error that a statement ends in, wherever the engine raises it."""
        with pytest.raises(Exception) as raised:  # noqa: PT011
            self.rows(text)
        found = raised.value if isinstance(raised.value, SqlmlError) else self.session.engine_error(raised.value)
        assert type(found) is error, found
        return str(found)


@pytest.fixture(scope="module", params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def asked(request: pytest.FixtureRequest, contract_world: World) -> Iterator[Asked]:
    target = request.getfixturevalue("spark") if request.param == "spark" else None
    with sqlml.connect(target, project=contract_world.folder, publish="needed") as session:
        held = Asked(session, request.param)
        for name in ("churn", "logit"):
            rows = contract_world.models[name].rows
            held.table({"churn": "people", "logit": "pairs"}[name], rows.assign(id=range(len(rows))))
        yield held


@pytest.fixture(scope="module")
def models(contract_world: World) -> dict:
    return contract_world.models


PEOPLE = ("churn", "spend", "tier")
PAIRS = ("logit", "line", "null_label", "bool_label", "int_label", "hist")


@pytest.mark.parametrize("name", [*PEOPLE, *PAIRS])
def test_answers_are_the_model_s(asked, models, name):
    table = "people" if name in PEOPLE else "pairs"
    rows = models["churn" if name in PEOPLE else "logit"].rows
    same(asked.column(f"SELECT {name}(t) FROM {table} AS t ORDER BY id"), answers(models[name], "predict", rows))


@pytest.mark.parametrize("name", ["churn", "tier", "logit", "bool_label", "int_label", "null_label"])
def test_probabilities_are_the_model_s(asked, models, name):
    table = "people" if name in PEOPLE else "pairs"
    rows = models["churn" if name in PEOPLE else "logit"].rows
    same(asked.column(f"SELECT {name}_proba(t) FROM {table} t ORDER BY id"), answers(models[name], "proba", rows))
    if name != "tier":
        same(asked.column(f"SELECT {name}_score(*) FROM {table} ORDER BY id"), answers(models[name], "score", rows))
    else:
        assert "3 classes" in asked.refused(NoSuchOutput, "SELECT tier_score(t) FROM people t")


@pytest.mark.parametrize("strategy", ["kernel", "sql", "jvm", "python"])
def test_every_strategy(asked, models, strategy):
    rows, name = models["churn"].rows, f"churn_by_{strategy}"
    found = asked.rows(f"SELECT {name}(t), {name}_score(t), {name}_proba(t) FROM people t ORDER BY id")
    labels, scores, chances = zip(*found, strict=True)
    same(labels, answers(models["churn"], "predict", rows))
    same(scores, answers(models["churn"], "score", rows))
    same(chances, answers(models["churn"], "proba", rows))
    has_it = strategy != "jvm" or asked.session._engine.has_jvm
    plan = asked.session.explain(f"SELECT {name}(t) FROM people t")
    assert plan.calls[0].target.strategy == (strategy if has_it else "kernel")


FORMS = [
    "line(p)", "line(p.*)", "line(*)", "line({'b': b, 'a': a})", "line(a := a, b := b)", "line(b => b, a => a)",
    "line(a, b)", "predict('line', p)", "predict('line@champion', *)", "predict('line/1', a, b)",
    "line(* REPLACE (a * 1 AS a))", "LINE(P)", "line(b := b, a := a + 0)",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_call(asked, models, form):
    same(asked.column(f"SELECT {form} FROM pairs AS p ORDER BY id"), answers(models["line"]))


def test_where_a_call_may_stand(asked, models):
    rows, wanted = models["churn"].rows, answers(models["churn"], "score")
    high = [i for i, score in enumerate(wanted) if score > 0.5]
    assert asked.column("SELECT id FROM people p WHERE churn_score(p) > 0.5 ORDER BY id") == high
    mean = asked.rows("SELECT plan, avg(churn_score(p)) FROM people p GROUP BY plan ORDER BY plan")
    expected = pd.Series(wanted).groupby(rows.plan).mean()
    assert [plan for plan, _ in mean] == list(expected.index)
    same([value for _, value in mean], expected.tolist())
    text = "SELECT id, churn_score(p) FROM people p ORDER BY churn_score(p) DESC, id LIMIT 3"
    assert [i for i, _ in asked.rows(text)] == sorted(range(len(wanted)), key=lambda i: (-wanted[i], i))[:3]
    joined = "SELECT p.id, line(a, b) FROM people p JOIN pairs q ON p.id = q.id WHERE p.id < 3 ORDER BY 1"
    assert [i for i, _ in asked.rows(joined)] == [0, 1, 2]
    windowed = "SELECT sum(churn_score(p)) OVER (PARTITION BY plan) FROM people p ORDER BY id LIMIT 1"
    same(asked.column(windowed), [sum(s for s, plan in zip(wanted, rows.plan, strict=True) if plan == rows.plan[0])])
    assert asked.column("WITH q AS (SELECT churn(p) AS c FROM people p) SELECT count(*) FROM q WHERE c = 'yes'") == [
        answers(models["churn"]).count("yes")
    ]


@pytest.mark.parametrize("strategy", ["kernel", "jvm"])
def test_groups_by_a_prediction(asked, models, strategy):
    labels = answers(models["churn"])
    wanted = [(label, labels.count(label)) for label in sorted(set(labels))]
    for text in (
        "SELECT {f}(p), count(*) FROM people p GROUP BY {f}(p) HAVING {f}(p) IN ('yes', 'no') ORDER BY {f}(p)",
        "SELECT c, count(*) FROM (SELECT {f}(p) AS c FROM people p) WHERE c IS NOT NULL GROUP BY 1 ORDER BY 1",
    ):
        assert asked.rows(text.format(f=f"churn_by_{strategy}")) == wanted


def test_a_column_is_named_as_it_was_written(asked):
    found = asked.session.sql("SELECT line(p), 1 + line(p), line(p) AS named, id FROM pairs p")
    assert list(found.columns) == ["line(p)", "1 + line(p)", "named", "id"]


def test_a_table_function(asked, models):
    found = asked.rows("SELECT id, predicted_churned FROM ML.PREDICT(MODEL churn, TABLE people) ORDER BY id")
    assert [label for _, label in found] == answers(models["churn"])
    text = "SELECT predicted_churned FROM ML.PREDICT(MODEL churn, (SELECT * FROM people), STRUCT(0.7 AS threshold))"
    wanted = ["yes" if score >= 0.7 else "no" for score in answers(models["churn"], "score")]
    assert sorted(asked.column(text)) == sorted(wanted)
    (probs,) = asked.column("SELECT predicted_churned_probs FROM ML.PREDICT(MODEL churn, TABLE people) WHERE id = 0")
    assert [one["label"] for one in probs] == ["no", "yes"]


def test_two_versions_in_one_query(contract_world, asked, models):
    rows = models["churn"].rows
    text = "SELECT predict_score('churn@champion', p), predict_score('churn@challenger', p) FROM people p ORDER BY id"
    first, second = zip(*asked.rows(text), strict=True)
    same(first, answers(models["churn"], "score", rows))
    same(second, answers(contract_world.challenger, "score", rows))


@pytest.mark.parametrize("count", [0, 1, 2047, 2048, 2049, 10_001])
def test_any_number_of_rows(asked, models, count):
    held = models["churn"].rows
    rows = held.iloc[np.arange(count) % len(held)].reset_index(drop=True)
    asked.table("some_rows", pa.Table.from_pandas(rows.assign(n=range(count)), preserve_index=False))
    found = asked.rows("SELECT churn(t), churn_score(t) FROM some_rows t ORDER BY n")
    assert len(found) == count
    if count:
        same([label for label, _ in found], answers(models["churn"], "predict", rows))
        same([score for _, score in found], answers(models["churn"], "score", rows))


TYPES = [("TINYINT", "SMALLINT"), ("INTEGER", "BIGINT"), ("FLOAT", "DOUBLE"), ("DECIMAL(10, 2)", "DECIMAL(38, 10)")]


@pytest.mark.parametrize("types", TYPES)
def test_the_value_is_the_same_whatever_its_type(asked, models, types):
    one, other = types
    wanted = answers(models["line"], rows=pd.DataFrame({"a": [3.0], "b": [1.0]}))
    same(asked.column(f"SELECT line(CAST(3 AS {one}), CAST(1 AS {other}))"), wanted)
    same(asked.column("SELECT line('3', 1.0)"), wanted)
    same(asked.column("SELECT line(true, 1.0) - line(1, 1.0)"), [0.0])


def test_null_nan_and_infinity(asked, models):
    rows = pa.table({"a": pa.array([1.0, None, math.nan, 2.0]), "b": pa.array([1.0, 1.0, 1.0, None]), "id": range(4)})
    asked.table("odd_rows", rows)
    assert [v is None for v in asked.column("SELECT line(t) FROM odd_rows t ORDER BY id")] == [False, True, True, True]
    holed = pd.DataFrame({"a": [1.0, np.nan, np.nan, 2.0], "b": [1.0, 1.0, 1.0, np.nan]})
    same(asked.column("SELECT hist(t) FROM odd_rows t ORDER BY id"), answers(models["hist"], rows=holed))
    assert asked.column("SELECT line(NULL, 1)") == [None]
    assert "strict" in asked.refused(NullArgument, "SELECT strict(t) FROM odd_rows t")
    same(
        asked.column("SELECT hist(CAST('inf' AS DOUBLE), 1)"),
        answers(models["hist"], rows=pd.DataFrame({"a": [math.inf], "b": [1.0]})),
    )
    assert "passing version 1" in asked.refused(PredictionFailed, "SELECT passing(t) FROM odd_rows t")


def test_text_that_no_model_knows(asked, models):
    rows = models["churn"].rows.head(3).assign(plan=["gold", "basic", ""], region=["o'hare", "süd", "☃"])
    asked.table("unknown_rows", rows.assign(id=range(3)))
    same(asked.column("SELECT churn_score(t) FROM unknown_rows t ORDER BY id"), answers(models["churn"], "score", rows))
    assert "gold" in asked.refused(UnknownCategory, "SELECT coded('gold')")


@pytest.mark.parametrize(
    ("error", "text", "named"),
    [
        (UnknownFunction, "SELECT churm(p) FROM people p", "churn"),
        (MissingArguments, "SELECT churn(p) FROM pairs p", "tenure"),
        (WrongCount, "SELECT line(1)", "'line'"),
        (WrongCount, "SELECT line(1, 2, 3)", "'line'"),
        (UnknownArgument, "SELECT line(a := 1, c := 2)", "'c'"),
        (BadCast, "SELECT line('x', 1)", "'a'"),
        (BadCast, "SELECT line(9007199254740993, 1)", "the integer 9007199254740993 is too large to be one"),
        (
            BadCast,
            "SELECT line(1, CAST(-9007199254740993 AS DECIMAL(20, 0)))",
            "takes DOUBLE, and the DECIMAL -9007199254740993",
        ),
        (NoSuchOutput, "SELECT predict_score('line', 1, 2)", "line"),
    ],
)
def test_an_error_names_what_is_wrong(asked, error, text, named):
    assert named in asked.refused(error, text)
    assert asked.column("SELECT line(0, 0)"), "the session goes on"


def test_columns_that_differ_in_case(asked):
    asked.table("cased_rows", pa.table({"a": [1.0], "b": [2.0]}))
    twice = "SELECT line(*) FROM cased_rows x, cased_rows y"
    assert "'a'" in asked.refused(AmbiguousColumn, twice)


def test_a_model_of_many_columns(asked, models):
    rows = models["wide"].rows
    asked.table("wide_rows", rows.assign(id=range(len(rows))))
    same(asked.column("SELECT wide(t) FROM wide_rows t ORDER BY id"), answers(models["wide"]))


def test_odd_names(asked, models):
    rows = models["odd"].rows
    asked.table("odd_names", rows.assign(id=range(len(rows))))
    same(asked.column("SELECT odd(t) FROM odd_names t ORDER BY id"), answers(models["odd"]))


def test_a_nested_row(asked, models):
    rows = models["line"].rows
    asked.table("nested", pa.table({"s": pa.StructArray.from_arrays(
        [pa.array(rows.b), pa.array(rows.a)], names=["b", "a"]), "id": range(len(rows))}))  # fmt: skip
    same(asked.column("SELECT line(s) FROM nested ORDER BY id"), answers(models["line"]))
    same(asked.column("SELECT line(s.*) FROM nested ORDER BY id"), answers(models["line"]))


def test_parameters(asked, models):
    wanted = answers(models["line"], rows=pd.DataFrame({"a": [3.0], "b": [1.0]}))
    same(asked.column("SELECT line(b := ?, a := ?)", [1.0, 3.0]), wanted)
    same(asked.column("SELECT line(b := $one, a := $three)", {"one": 1.0, "three": 3.0}), wanted)


def test_several_outputs_are_one_evaluation(asked, models):
    text = "SELECT churn_by_kernel(p), churn_by_kernel_score(p) FROM people p ORDER BY id"
    assert {call.shared for call in asked.session.explain(text).calls} == {("predict", "score")}
    found = asked.rows(text)
    same([label for label, _ in found], answers(models["churn"]))
    same([score for _, score in found], answers(models["churn"], "score"))


def test_the_catalog_and_the_statements(asked, models):
    names = asked.column("SELECT name FROM sqlml.functions ORDER BY name")
    assert {"churn", "line"} <= set(names)
    assert asked.column("SELECT count(*) FROM sqlml.versions") == [len(models) + 1]
    assert [row[0] for row in asked.rows("SHOW FUNCTIONS LIKE 'CHUR_'")] == ["churn"]
    assert any(row[0] == "model" and row[2] == "churn" for row in asked.rows("DESCRIBE FUNCTION churn"))
    lines = asked.column("EXPLAIN PREDICT SELECT line(p) FROM pairs p")
    assert f"engine: {asked.engine}, which gets:" in lines


def test_the_engine_s_own_sql(asked, models):
    """Without sqlml reading the text: by position and by name."""
    # What is done when a session opens, unless it was told to wait.
    asked.session._publish(asked.session._backing.catalog.snapshot(), needed=True)
    engine = asked.session._engine
    run = (lambda text: engine.session.sql(text).collect()) if asked.engine == "spark" else (
        lambda text: engine.connection.sql(text).fetchall())  # fmt: skip
    same([row[0] for row in run("SELECT line(a, b) FROM pairs ORDER BY id")], answers(models["line"]))
    named = "churn_score(plan => plan, region => region, tenure => tenure, price => price)"
    named = named if asked.engine == "spark" else named.replace("=>", ":=")
    same([row[0] for row in run(f"SELECT {named} FROM people ORDER BY id")], answers(models["churn"], "score"))
    same([row[0] for row in run("SELECT predict_score('logit', a, b) FROM pairs ORDER BY id")],
         answers(models["logit"], "score"))  # fmt: skip


def test_create_and_drop(contract_world, asked, models, tmp_path):
    engine = asked.session._engine
    fresh = engine.session.newSession() if asked.engine == "spark" else duckdb.connect()
    with sqlml.connect(fresh, project=contract_world.copy(tmp_path / "copy")) as session:
        again, rows = Asked(session, asked.engine), models["churn"].rows
        again.table("people", rows.assign(id=range(len(rows))))
        again.rows("CREATE FUNCTION made USING MODEL 'models:/churn@champion'")
        same(again.column("SELECT made(p) FROM people p ORDER BY id"), answers(models["churn"]))
        again.rows("CREATE OR REPLACE FUNCTION made USING MODEL 'models:/churn/2' OPTIONS (on_null = 'error')")
        wanted = answers(contract_world.challenger, "predict", rows)
        assert again.column("SELECT made(p) FROM people p ORDER BY id") == wanted
        again.rows("DROP FUNCTION made")
        assert "made" in again.refused(EngineError, "SELECT made(p) FROM people p")


def test_names_are_published_when_they_are_needed(asked, contract_world, models):
    """A session that begins without them answers the same, in statements that it can't take apart too."""
    target = asked.session._engine.session.newSession() if asked.engine == "spark" else None
    wanted = answers(models["line"], rows=pd.DataFrame({"a": [1.0], "b": [2.0]}))
    with sqlml.connect(target, project=contract_world.folder, publish="needed") as session:
        held = Asked(session, asked.engine)
        same(held.column("SELECT line(a := 1, b := 2)"), wanted)
        session.sql("CREATE TEMPORARY VIEW lined AS SELECT line(1.0, 2.0) AS y")
        same(held.column("SELECT y FROM lined"), wanted)
    with sqlml.connect(target, project=contract_world.folder, publish="needed") as session:
        engine_s_own = session.relation(session._rows("SELECT line(CAST(1 AS DOUBLE), CAST(2 AS DOUBLE))", None))
        same([value for (value,) in engine_s_own.fetchall()], wanted)
        with pytest.raises(UnknownFunction, match="Did you mean 'line'"):
            session.sql("SELECT lin(1, 2)")
