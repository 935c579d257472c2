"""Every way to write a call gives the model's own answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sql.asking import answers, same

FORMS = {
    "row": "{f}(t)",
    "row in quotes": '{f}("t")',
    "stars": "{f}(t.*)",
    "star": "{f}(*)",
    "star with spaces": "{f} ( * )",
    "exclude": "{f}(* EXCLUDE (id))",
    "exclude one": "{f}(t.* EXCLUDE id)",
    "names": "{f}(tenure := tenure, price := price, plan := plan, region := region)",
    "arrows": "{f}(tenure => t.tenure, price => price, plan => plan, region => region)",
    "names in another order": "{f}(region := region, plan := plan, price := price, tenure := tenure)",
    "names in another case": "{f}(TENURE := tenure, Price := price, pLaN := plan, region := region)",
    "names in quotes": '{f}("tenure" := tenure, "PRICE" := price, plan := plan, region := region)',
    "positions": "{f}(tenure, price, plan, region)",
    "struct": "{f}({{'tenure': tenure, 'price': price, 'plan': plan, 'region': region}})",
    "struct in another order": "{f}({{'region': region, 'plan': plan, 'price': price, 'Tenure': tenure, 'more': 1}})",
    "struct_pack": "{f}(struct_pack(plan := plan, price := price, tenure := tenure, region := region))",
    "row function": "{f}(struct_pack(tenure := tenure, price := price, plan := plan, region := region))",
    "a column that is a row": "{f}(r)",
    "the stars of a column": "{f}(r.*)",
    "the qualified column": "{f}(t.r)",
    "upper case": "{F}(T)",
    "in quotes": '"{f}"(t)',
    "comments": "{f}(/* f(a, b) */ t -- {f}(\n)",
}
OUTPUTS = {"": "predict", "_score": "score", "_proba": "proba"}


@pytest.fixture(scope="module")
def rows(reader):
    """`t`: the columns in another order, more of them than the model takes, and a column that is a row."""
    text = """
        CREATE TABLE t AS
        SELECT region, 'x' AS more, plan, id, price, tenure,
               {'tenure': tenure, 'region': region, 'price': price, 'plan': plan} AS r
        FROM people
    """
    reader.sql(text)
    return reader


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_call(rows, models, form):
    names = [f"churn{suffix}" for suffix in OUTPUTS]
    calls = ", ".join(FORMS[form].format(f=name, F=name.upper()) for name in names)
    found = rows.sql(f"SELECT {calls} FROM t ORDER BY id").fetchall()
    for got, output in zip(zip(*found, strict=True), OUTPUTS.values(), strict=True):
        same(got, answers(models["churn"], output))


@pytest.mark.parametrize("target", ["churn", "CHURN", "churn@champion", "churn/1"])
def test_the_generic_forms(rows, models, target):
    for arguments in ("t", "*", "t.*", "tenure, price, plan, region", "* REPLACE (plan AS plan)"):
        calls = ", ".join(f"{name}('{target}', {arguments})" for name in ("predict", "predict_score", "PREDICT_PROBA"))
        found = rows.sql(f"SELECT {calls} FROM t ORDER BY id").fetchall()
        for got, output in zip(zip(*found, strict=True), OUTPUTS.values(), strict=True):
            same(got, answers(models["churn"], output))


@pytest.mark.parametrize("target", ["churn@challenger", "churn/2"])
def test_another_version(rows, world, target):
    found = rows.sql(f"SELECT predict('{target}', t), predict_score('{target}', *) FROM t ORDER BY id").fetchall()
    same([label for label, _ in found], answers(world.challenger, "predict"))
    same([score for _, score in found], answers(world.challenger, "score"))


def test_two_versions_and_several_functions_in_one_query(rows, world, models):
    text = """
        SELECT churn(t), predict('churn@challenger', t), predict('churn/2', *), spend(t), tier(*), churn_score(t)
        FROM t ORDER BY id
    """
    found = list(zip(*rows.sql(text).fetchall(), strict=True))
    for got, held, output in zip(
        found,
        (models["churn"], world.challenger, world.challenger, models["spend"], models["tier"], models["churn"]),
        ("predict", "predict", "predict", "predict", "predict", "score"),
        strict=True,
    ):
        same(got, answers(held, output))


def test_replace_changes_what_the_model_gets(rows, models):
    found = rows.sql("SELECT spend(* REPLACE (price * 2 AS price, 'pro' AS plan)) FROM t ORDER BY id").fetchall()
    changed = models["spend"].rows.assign(price=lambda held: held.price * 2, plan="pro")
    same([value for (value,) in found], answers(models["spend"], "predict", changed))


def test_rename_gives_a_column_to_another_argument(db, models):
    db.sql("CREATE TABLE u AS SELECT a AS q, b, id FROM pairs")
    for call in ("line(* RENAME (q AS a))", "line(u.* RENAME (q AS a))", "line(* EXCLUDE id RENAME (q AS A))"):
        found = db.sql(f"SELECT {call} FROM u ORDER BY id").fetchall()
        same([value for (value,) in found], answers(models["line"]))


def test_a_model_of_one_argument(db, models):
    for call in (
        "square(a)",
        "square(t)",
        "square(*)",
        "square(a := a)",
        "square({'a': a})",
        "square(t.a)",
        "square(+a)",
    ):
        found = db.sql(f"SELECT {call} FROM pairs AS t ORDER BY id").fetchall()
        same([value for (value,) in found], answers(models["square"]))


def test_a_column_comes_before_a_table_of_the_same_name(db):
    assert db.sql("SELECT square(a) = square(3) FROM (SELECT 3.0 AS a, 5.0 AS c) AS a").fetchall() == [(True,)]
    assert db.sql("SELECT square(a) = square(4) FROM (SELECT {'a': 4.0} AS a) AS b").fetchall() == [(True,)]


def test_constants_need_no_table(db, models):
    one = pd.DataFrame({"a": [1.5], "b": [-2.0]})
    for call in ("line(1.5, -2)", "line(b := -2, a := 1.5)", "line({'a': 1.5, 'b': -2})", "line('1.5', '-2')"):
        ((value,),) = db.sql(f"SELECT {call}").fetchall()
        same([value], answers(models["line"], "predict", one))


def test_calls_in_calls(db, models):
    text = "SELECT line(a := square(p), b := square(a := line(*))) FROM pairs AS p ORDER BY id"
    held = models["line"].rows
    inner = pd.DataFrame({"a": answers(models["square"], rows=held[["a"]]), "b": answers(models["line"])})
    inner["b"] = answers(models["square"], rows=inner[["b"]].set_axis(["a"], axis=1))
    same([value for (value,) in db.sql(text).fetchall()], answers(models["line"], rows=inner))


def test_replace_holds_a_call(db, models):
    text = "SELECT line(* REPLACE (square(p) AS b)) FROM pairs AS p ORDER BY id"
    held = models["line"].rows.assign(b=answers(models["square"], rows=models["square"].rows))
    same([value for (value,) in db.sql(text).fetchall()], answers(models["line"], rows=held))


def test_columns_that_must_be_in_quotes(db, models):
    rows = models["odd"].rows
    db.sql("CREATE TABLE o AS SELECT *, row_number() OVER () AS __n FROM rows")
    wanted = answers(models["odd"])
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in rows)
    named = ", ".join(
        f'"{name.replace(chr(34), chr(34) * 2)}" := "{name.replace(chr(34), chr(34) * 2)}"' for name in rows
    )
    fields = ", ".join(
        f"'{name.replace(chr(39), chr(39) * 2)}': \"{name.replace(chr(34), chr(34) * 2)}\""
        for name in reversed(list(rows))
    )
    for call in ("odd(o)", "odd(o.*)", "odd(*)", f"odd({quoted})", f"odd({named})", f"odd({{{fields}}})"):
        found = db.sql(f"SELECT {call} FROM o ORDER BY __n").fetchall()
        same([value for (value,) in found], wanted)


def test_arguments_that_differ_only_in_case(db, models):
    rows = models["cased"].rows
    x, X = (rows[name].tolist() for name in ("x", "X"))
    wanted = answers(models["cased"])
    for number in (0, 7, 42):
        for call in (
            f"cased({x[number]}, {X[number]})",
            f'cased(x := {x[number]}, "X" := {X[number]})',
            f'cased("X" => {X[number]}, x => {x[number]})',
        ):
            ((value,),) = db.sql(f"SELECT {call}").fetchall()
            same([value], wanted[number : number + 1])


def test_a_thousand_arguments(db, models):
    rows = models["wide"].rows
    shuffled = rows[list(np.random.default_rng(0).permutation(rows.columns))]
    db.sql("CREATE TABLE w AS SELECT *, row_number() OVER () AS n FROM shuffled")
    assert len(shuffled) == len(rows)
    positions = ", ".join(rows.columns)
    for call in ("wide(w)", "wide(*)", f"wide({positions})", "predict('wide', w.*)"):
        found = db.sql(f"SELECT {call} FROM w ORDER BY n").fetchall()
        same([value for (value,) in found], answers(models["wide"]))


@pytest.mark.parametrize("name", ["null_label", "bool_label", "int_label", "light", "tier"])
def test_labels_keep_their_type(db, models, name):
    held = models[name]
    rows = held.rows
    db.sql("CREATE TABLE r AS SELECT *, row_number() OVER () AS n FROM rows")
    assert len(rows)
    found = db.sql(f"SELECT {name}(r), {name}_proba(r) FROM r ORDER BY n")
    assert found.types[0] == {"bool_label": "BOOLEAN", "int_label": "BIGINT"}.get(name, "VARCHAR")
    labels, chances = zip(*found.fetchall(), strict=True)
    same(labels, answers(held))
    same(chances, answers(held, "proba"))


def test_a_label_finds_its_probability(db, models):
    """In the label's own type: also where it is an empty text, 'NULL', a number or a truth value."""
    for name, key in (("null_label", "''"), ("null_label", "'NULL'"), ("int_label", "-2"), ("bool_label", "true")):
        found = db.sql(f"SELECT {name}_proba(p)[{key}] FROM pairs AS p ORDER BY id").fetchall()
        place = {"''": 0, "'NULL'": 1, "-2": 0, "true": 1}[key]
        same([value for (value,) in found], [list(row.values())[place] for row in answers(models[name], "proba")])
