from __future__ import annotations

import pytest

from sqlml.errors import BadReference
from sqlml.models.reference import ModelReference


@pytest.mark.parametrize(
    ("text", "name", "alias", "version"),
    [
        ("models:/delay_risk@champion", "delay_risk", "champion", None),
        ("  models:/delay risk@a.b-c ", "delay risk", "a.b-c", None),
        ("models:/delay_risk/3", "delay_risk", None, "3"),
        ("models:/delay_risk/003", "delay_risk", None, "3"),
        ("models:/main.sales.churn/12", "main.sales.churn", None, "12"),
    ],
)
def test_registered_models(text, name, alias, version):
    held = ModelReference.parse(text)
    assert (held.name, held.alias, held.version) == (name, alias, version)
    assert held.model == name


def test_a_run():
    held = ModelReference.parse("runs:/0a1b2c/path/to/model")
    assert (held.name, held.alias, held.version) == (None, None, None)
    assert held.model == held.text == "runs:/0a1b2c/path/to/model"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "delay_risk",
        "models:/delay_risk",
        "models:/delay_risk/",
        "models:/delay_risk/latest",
        "models:/delay_risk/-1",
        "models:/@champion",
        "models:/a/b/3",
        "models:/a@b@c",
        "models:/delay_risk@champion/3",
        "models://delay_risk/3",
        "runs:/0a1b2c",
        "runs:/",
        "file:///tmp/model",
    ],
)
def test_anything_else_is_refused_by_its_text(text):
    with pytest.raises(BadReference) as caught:
        ModelReference.parse(text)
    assert f"'{text}'" in str(caught.value)
