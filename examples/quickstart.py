"""From a fitted model to SQL: `python quickstart.py` makes the project folder `quickstart/` where you stand."""

from palmerpenguins import load_penguins
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import sqlml

penguins = load_penguins()
inputs = penguins[["island", "bill_length_mm", "flipper_length_mm", "body_mass_g"]]
encode = make_column_transformer((OneHotEncoder(sparse_output=False), ["island"]), remainder="passthrough")
model = make_pipeline(encode, HistGradientBoostingClassifier()).fit(inputs, penguins["species"])

with sqlml.connect(project="quickstart") as db:
    registry = db.settings.registry_uri
    sqlml.log_model(model, name="species", signature_from=inputs, label="species", alias="champion", registry=registry)
    db.register("species", "models:/species@champion", replace=True)

    print(
        db.sql("SELECT island, species(p) AS predicted, count(*) AS penguins FROM penguins p GROUP BY ALL ORDER BY ALL")
    )
    print(db.sql("SELECT species_proba(p)['Gentoo'] AS gentoo FROM penguins p WHERE island = 'Biscoe' LIMIT 3"))
    # A data frame is a table like any other, and a row of it what the model takes: by name, in any order.
    wrong = db.sql("FROM penguins p WHERE species(p) <> p.species").df()

assert len(wrong) == (model.predict(inputs) != penguins["species"]).sum()
