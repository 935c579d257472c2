"""Programs of scikit-learn's transformers give the columns that the transformers do, to the last bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn import linear_model
from sklearn.compose import ColumnTransformer
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_regression
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection
from sklearn.utils import get_tags

from programs.sklearn_asking import LENGTHS, arguments_of, around, fitted, numbers, penguins, same, transformed
from sqlml.models.description import Argument
from sqlml.models.readers.program import read_program
from sqlml.models.readers.reading import NoReader

NUMERIC_TRANSFORMERS: dict[str, Any] = {
    "standard": StandardScaler(),
    "standard, no mean": StandardScaler(with_mean=False),
    "standard, no deviation": StandardScaler(with_std=False),
    "min max": MinMaxScaler((-1, 2)),
    "min max, clipped": MinMaxScaler(clip=True),
    "max abs": MaxAbsScaler(),
    "max abs, clipped": MaxAbsScaler(clip=True),
    "robust": RobustScaler(),
    "robust, no scale": RobustScaler(with_scaling=False),
    "yeo-johnson": PowerTransformer(),
    "box-cox": PowerTransformer("box-cox", standardize=False),
    "quantile": QuantileTransformer(n_quantiles=20),
    "nothing": FunctionTransformer(),
    "log1p": FunctionTransformer(np.log1p),
    "ceil": FunctionTransformer(np.ceil),
    "sigmoid": FunctionTransformer(special.expit),
    "absolute": FunctionTransformer(np.abs),
    "mean": SimpleImputer(),
    "median": SimpleImputer(strategy="median", add_indicator=True),
    "constant": SimpleImputer(strategy="constant", fill_value=-1.0),
    "most frequent": SimpleImputer(strategy="most_frequent"),
    "indicator": MissingIndicator(features="all"),
    "union": FeatureUnion(
        [("a", StandardScaler()), ("b", "passthrough"), ("c", "drop"), ("d", MinMaxScaler())],
        transformer_weights={"a": 2.0},
    ),
    "splines, zeros": SplineTransformer(handle_missing="zeros"),
}
WHOLE_TRANSFORMERS: dict[str, Any] = {
    "binarizer": Binarizer(threshold=20.0),
    **{f"normalizer, {norm}": Normalizer(norm) for norm in ("l1", "l2", "max")},
    "polynomials": PolynomialFeatures(3),
    "polynomials, no bias": PolynomialFeatures((2, 4), include_bias=False),
    "polynomials, interactions": PolynomialFeatures((2, 3), interaction_only=True),
    "polynomials, all interactions": PolynomialFeatures(6, interaction_only=True),
    **{f"splines, {way}": SplineTransformer(extrapolation=way) for way in ("constant", "linear", "continue")},
    "splines, straight": SplineTransformer(4, 1, include_bias=False),
    "bins, ordinal": KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"),
    "bins, one-hot": KBinsDiscretizer(3, strategy="uniform"),
    "pca": PCA(2),
    "pca, whitened": PCA(3, whiten=True),
    "pca, in batches": IncrementalPCA(2),
    "svd": TruncatedSVD(2),
    "ica": FastICA(2, random_state=0),
    "factors": FactorAnalysis(2),
    "projection": GaussianRandomProjection(3, random_state=0),
    "kernel map": Nystroem(n_components=20, gamma=0.001, random_state=0),
    "cosines": RBFSampler(n_components=10, random_state=0),
    "best": SelectKBest(f_regression, k=2),
    "varied": VarianceThreshold(1.0),
    "least squares": PLSRegression(2),
}


@pytest.mark.parametrize("name", NUMERIC_TRANSFORMERS)
def test_transformer_with_missing(name):
    rows = penguins()[LENGTHS]
    beyond = pd.concat([around(rows), rows], ignore_index=True)
    transformed(fitted(NUMERIC_TRANSFORMERS[name], rows), beyond)


@pytest.mark.parametrize("name", WHOLE_TRANSFORMERS)
def test_transformer(name):
    rows = numbers()
    model = fitted(WHOLE_TRANSFORMERS[name], rows, np.sin(np.arange(len(rows))) + rows["bill_length_mm"])
    transformed(model, around(rows))
    infinite = rows.assign(bill_depth_mm=[np.inf, np.nan, *rows["bill_depth_mm"][2:]])
    transformed(model, infinite, refused=1 if get_tags(model).input_tags.allow_nan else 2)


ENCODERS: dict[str, Any] = {
    "one-hot": OneHotEncoder(),
    "one-hot, ignored": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "one-hot, first dropped": OneHotEncoder(drop="first", handle_unknown="ignore"),
    "one-hot, binary dropped": OneHotEncoder(drop="if_binary"),
    "one-hot, infrequent": OneHotEncoder(min_frequency=30, handle_unknown="infrequent_if_exist"),
    "one-hot, infrequent, warned": OneHotEncoder(max_categories=2, handle_unknown="warn"),
    "one-hot, infrequent ignored": OneHotEncoder(max_categories=2, handle_unknown="ignore"),
    "one-hot, infrequent dropped": OneHotEncoder(max_categories=3, drop="first", handle_unknown="infrequent_if_exist"),
    "ordinal": OrdinalEncoder(),
    "ordinal, unknown": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    "ordinal, unknown is missing": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    "ordinal, infrequent": OrdinalEncoder(
        max_categories=2, handle_unknown="use_encoded_value", unknown_value=9, encoded_missing_value=7
    ),
    "target": TargetEncoder(random_state=0),
    "target, classes": TargetEncoder(random_state=0, target_type="multiclass"),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder(name):
    rows = penguins()[["island", "sex", "year", "is_late", "bill_depth_mm"]]
    rows["bill_depth_mm"] = rows["bill_depth_mm"].round()
    values = penguins()["species"] if "classes" in name else np.arange(len(rows)) % 7.0
    model = fitted(ENCODERS[name], rows, values)
    arguments = arguments_of(rows)
    transformed(model, rows, arguments)
    unseen = rows.copy()
    unseen["year"] = unseen["year"].astype(float)
    unseen.loc[::4, "island"] = "Anvers"
    unseen.loc[1::4, "year"] = 1999.0
    unseen.loc[2, "bill_depth_mm"] = np.nan
    unseen.loc[3, "sex"] = None
    strict = getattr(model, "handle_unknown", "ignore") == "error"
    transformed(model, unseen, arguments, refused=sum(i % 4 < 2 for i in range(len(rows))) if strict else 0)


def test_encoder_of_missing_categories_that_it_has_not_seen():
    rows = pd.DataFrame({"island": ["Dream", "Biscoe", "Dream"], "size": [1.0, 2.0, 1.0]})
    holed = pd.DataFrame({"island": ["Dream", None, "Biscoe"], "size": [1.0, 2.0, np.nan]})
    arguments = [Argument("island", "VARCHAR", missing="nan"), Argument("size", "DOUBLE", missing="nan")]
    transformed(fitted(OneHotEncoder(handle_unknown="ignore"), rows), holed, arguments)
    transformed(fitted(OneHotEncoder(), rows), holed, arguments, refused=2)


def test_missing_text_as_none():
    rows = pd.DataFrame({"island": ["Dream", None, "Biscoe"] * 4}, dtype=object)
    arguments = [Argument("island", "VARCHAR", missing="none")]
    transformed(fitted(OneHotEncoder(), rows), rows, arguments)
    filled = make_pipeline(SimpleImputer(missing_values=None, strategy="constant", fill_value="?"), OneHotEncoder())
    transformed(fitted(filled, rows), rows, arguments)
    left = fitted(make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), rows.dropna())
    with pytest.raises(NoReader, match="missing_values"):
        read_program(fitted(make_pipeline(left, linear_model.Ridge()), rows.dropna(), np.arange(8)), arguments)


def test_imputer_of_another_value():
    rows = pd.DataFrame({"size": [1.0, -999.0, 3.0, 4.0]})
    model = fitted(SimpleImputer(missing_values=-999.0, strategy="median", add_indicator=True), rows)
    transformed(model, pd.DataFrame({"size": [-999.0, 2.0, np.nan, np.inf]}), refused=2)


def test_imputer_of_a_column_that_was_never_there():
    rows = pd.DataFrame({"size": [1.0, 2.0], "never": [np.nan, np.nan]})
    transformed(fitted(SimpleImputer(), rows), rows)
    transformed(fitted(SimpleImputer(keep_empty_features=True), rows), rows)


def test_indicator_refuses_what_was_never_missing():
    rows = pd.DataFrame({"size": [1.0, np.nan, 2.0], "weight": [1.0, 2.0, 3.0]})
    model = make_pipeline(fitted(MissingIndicator(), rows), linear_model.LinearRegression())
    holed = pd.DataFrame({"size": [np.nan, 1.0], "weight": [1.0, np.nan]})
    arguments = [Argument("size", "DOUBLE", missing="nan"), Argument("weight", "DOUBLE", missing="nan")]
    same(fitted(model, rows, np.arange(3.0)), holed, arguments, refused=1)


def test_column_transformer_by_places_and_masks():
    rows = numbers()
    model = ColumnTransformer(
        [
            ("places", StandardScaler(), [2, 0]),
            ("mask", MinMaxScaler(), np.array([False, True, False, False])),
            ("slice", "passthrough", slice(1, 3)),
            ("none", StandardScaler(), []),
            ("gone", "drop", ["body_mass_kg"]),
        ],
        remainder=FunctionTransformer(np.sqrt),
    )
    transformed(fitted(model, rows), rows)
    transformed(fitted(model.set_params(gone=StandardScaler()), rows), rows)
