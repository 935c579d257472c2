"""A scikit-learn model's program answers as the model does, or it has none, for a reason that is written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets, linear_model, naive_bayes, svm, tree
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, StackingClassifier, VotingClassifier, VotingRegressor
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_ridge import KernelRidge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import LabelPropagation, LabelSpreading

from parity.estimators import stock
from programs.sklearn_asking import LENGTHS, arguments_of, around, asked, fitted, near, numbers, penguins, same
from sqlml.models.description import Argument
from sqlml.models.readers.program import read_program
from sqlml.models.readers.reading import NoReader

STOCK = stock()
CLASSIFIERS = [name for name, make in STOCK.items() if is_classifier(make())]
NEIGHBORS = "its neighbours are rows that it keeps, searched for every answer"
NO_PROGRAM = {
    "GaussianProcessClassifier": "its probabilities are integrals",
    "KNeighborsClassifier": NEIGHBORS,
    "KNeighborsRegressor": NEIGHBORS,
    "LabelPropagation": "its squared distances lose digits at the scale of its columns",
    "LabelSpreading": "its squared distances lose digits at the scale of its columns",
    "LocalOutlierFactor": NEIGHBORS,
    "RadiusNeighborsClassifier": NEIGHBORS,
    "RadiusNeighborsRegressor": NEIGHBORS,
}
SEVERAL = ("ClassifierChain", "RegressorChain", "MultiOutput", "MultiTask")
TWO_CLASSES = {"FixedThresholdClassifier", "TunedThresholdClassifierCV"}


def target(name: str, labels: Sequence[Any]) -> Any:
    rows = penguins().dropna()
    if name in CLASSIFIERS:
        places = rows["species"].astype("category").cat.codes.to_numpy()
        places = places if len(labels) == 3 else (rows["sex"] == "male").to_numpy().astype(int)
        values: Any = np.array(labels, int if labels[0] == 0 else object)[places]
    else:
        values = (
            rows["bill_length_mm"].to_numpy() * 0.3 + rows["body_mass_kg"].to_numpy() + np.sin(np.arange(len(rows)))
        )
    return np.column_stack([values, values[::-1]]) if name.startswith(SEVERAL) else values


LABELS: tuple[tuple[Any, ...], ...] = ((0, 1), ("female", "male"), ("Adelie", "Chinstrap", "Gentoo"))


def labelled(name: str) -> tuple[tuple[Any, ...], ...]:
    if name not in CLASSIFIERS or name.startswith(SEVERAL):
        return LABELS[:1]
    return LABELS[:2] if name in TWO_CLASSES else LABELS


@pytest.mark.parametrize(("name", "labels"), [(name, labels) for name in STOCK for labels in labelled(name)])
def test_stock(name, labels):
    rows = numbers(name)
    model = fitted(STOCK[name](), rows, target(name, labels))
    if name in NO_PROGRAM:
        with pytest.raises(NoReader) as raised:
            read_program(model, arguments_of(rows))
        assert raised.value.reason == NO_PROGRAM[name]
        return
    asking = rows if name == "CategoricalNB" else around(rows)
    if name == "IsotonicRegression":
        asking = asking.clip(rows.min(), rows.max(), axis=1)
    same(model, asking)


def test_every_exception_is_a_stock_estimator():
    assert set(NO_PROGRAM) <= set(STOCK)


IRIS, WINE = datasets.load_iris(as_frame=True), datasets.load_wine(as_frame=True)
LOGISTIC, GAUSS = linear_model.LogisticRegression(max_iter=500), naive_bayes.GaussianNB()
TREE = tree.DecisionTreeClassifier(max_depth=3)
MORE_CLASSIFIERS = {
    "logistic, one against the rest": OneVsRestClassifier(linear_model.LogisticRegression()),
    "constant among the rest": OneVsRestClassifier(GAUSS),
    "sgd, log loss": linear_model.SGDClassifier(loss="log_loss", random_state=0),
    "sgd, modified huber": linear_model.SGDClassifier(loss="modified_huber", random_state=0),
    "svc, linear": svm.SVC(kernel="linear"),
    "svc, poly": svm.SVC(kernel="poly", degree=2, coef0=1.0),
    "svc, sigmoid": svm.SVC(kernel="sigmoid"),
    "svc, break ties": svm.SVC(break_ties=True),
    "svc, one against one": svm.SVC(decision_function_shape="ovo"),
    "calibrated svc of ties": CalibratedClassifierCV(svm.SVC(), cv=2),
    "calibrated, isotonic": CalibratedClassifierCV(GAUSS, method="isotonic", cv=2),
    "calibrated, one": CalibratedClassifierCV(GAUSS, ensemble=False, cv=2),
    "calibrated, temperature": CalibratedClassifierCV(GAUSS, method="temperature", cv=2),
    "calibrated, temperature of scores": CalibratedClassifierCV(LOGISTIC, method="temperature", cv=2),
    "calibrated, frozen": CalibratedClassifierCV(FrozenEstimator(GAUSS), method="sigmoid"),
    "voting, weights": VotingClassifier([("a", GAUSS), ("b", TREE)], voting="soft", weights=[1, 2]),
    "voting, one dropped": VotingClassifier([("a", GAUSS), ("b", "drop"), ("c", TREE)], voting="soft"),
    "voting, hard weights": VotingClassifier([("a", GAUSS), ("b", TREE), ("c", LOGISTIC)], weights=[1, 1, 3]),
    "stacking with the columns": StackingClassifier([("a", GAUSS), ("b", TREE)], passthrough=True, cv=2),
    "stacking scores": StackingClassifier([("a", svm.LinearSVC()), ("b", GAUSS)], final_estimator=GAUSS, cv=2),
    "stacking labels": StackingClassifier([("a", TREE), ("b", GAUSS)], stack_method="predict", cv=2),
    "bagging, few columns": BaggingClassifier(GAUSS, 4, max_features=2, random_state=0),
    "bagging, votes": BaggingClassifier(svm.LinearSVC(), 4, random_state=0),
    "bagging, few rows": BaggingClassifier(GAUSS, 6, max_samples=4, random_state=1),
    "centroids, unlike classes": NearestCentroid(priors="empirical"),
    "centroids, shrunken": NearestCentroid(shrink_threshold=0.2),
    "discriminant, lsqr": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "bernoulli with a threshold": naive_bayes.BernoulliNB(binarize=3.0),
    "network, tanh": MLPClassifier((4, 3), activation="tanh", max_iter=30, random_state=0),
    "network, logistic": MLPClassifier((4,), activation="logistic", max_iter=30, random_state=0),
    "dummy, most frequent": DummyClassifier(strategy="most_frequent"),
    "scaled": make_pipeline(StandardScaler(), "passthrough", PCA(2), LOGISTIC),
    "propagated": LabelPropagation(gamma=0.4),
    "spread": LabelSpreading(gamma=0.4),
    "selected": make_pipeline(SelectFromModel(TREE), FrozenEstimator(LOGISTIC)),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", MORE_CLASSIFIERS)
def test_classifier_options(name, classes):
    held = IRIS.data[IRIS.target < classes].iloc[::2].reset_index(drop=True)
    labels = IRIS.target_names[IRIS.target[IRIS.target < classes].iloc[::2]]
    for part in (GAUSS, LOGISTIC):
        fitted(part, held if name != "selected" else held.iloc[:, 2:3].to_numpy(), labels)
    if name == "selected":
        MORE_CLASSIFIERS[name].set_params(selectfrommodel__max_features=1)
        fitted(TREE, held, labels)
        keep = fitted(SelectFromModel(TREE, max_features=1), held, labels).transform(held)
        fitted(LOGISTIC, keep, labels)
    same(fitted(MORE_CLASSIFIERS[name], held, labels), around(held))


@pytest.mark.parametrize("positive", ["no", "yes"])
@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
def test_threshold_options(positive, method):
    labels = np.where(IRIS.target == 1, "yes", "no")
    model = FixedThresholdClassifier(LOGISTIC, threshold=0.2, pos_label=positive, response_method=method)
    same(fitted(model, IRIS.data, labels), around(IRIS.data))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_chain_options(method):
    model = ClassifierChain(LOGISTIC, order=[1, 0], chain_method=method)
    labels = np.column_stack([IRIS.target > 0, IRIS.target == 1]).astype(int)
    same(fitted(model, IRIS.data, labels), around(IRIS.data))


MORE_REGRESSORS = {
    "kernel ridge, rbf": KernelRidge(kernel="rbf", gamma=0.1),
    "kernel ridge, poly": KernelRidge(kernel="poly", degree=2),
    "kernel ridge, sigmoid": KernelRidge(kernel="sigmoid", gamma=0.01),
    "process": GaussianProcessRegressor(
        kernels.ConstantKernel(2.0) * kernels.RBF([1.0, 2.0, 1.0, 1.0]) + kernels.DotProduct() + kernels.WhiteKernel(),
        alpha=0.1,
        optimizer=None,
        normalize_y=True,
    ),
    "svr, linear": svm.SVR(kernel="linear"),
    "svr, poly": svm.SVR(kernel="poly"),
    "one class, linear": svm.OneClassSVM(kernel="linear"),
    "tweedie, log": linear_model.TweedieRegressor(power=1.5),
    "tweedie, identity": linear_model.TweedieRegressor(power=0),
    "network": MLPRegressor(hidden_layer_sizes=(4,), activation="identity", max_iter=30, random_state=0),
    "network, poisson": MLPRegressor(loss="poisson", hidden_layer_sizes=(4,), max_iter=30, random_state=0),
    "least squares, two": PLSRegression(2),
    "voting, weights": VotingRegressor([("a", linear_model.Ridge()), ("b", svm.SVR())], weights=[2, 1]),
    "bagging": BaggingRegressor(linear_model.Ridge(), 4, max_features=3, random_state=0),
    "dummy, quantile": DummyRegressor(strategy="quantile", quantile=0.3),
    "exp target": TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1),
    "scaled target": TransformedTargetRegressor(linear_model.Ridge(), transformer=StandardScaler()),
    "min max target": TransformedTargetRegressor(linear_model.Ridge(), transformer=MinMaxScaler()),
    "robust target": TransformedTargetRegressor(linear_model.Ridge(), transformer=RobustScaler()),
    **{f"mixture, {way}": GaussianMixture(2, covariance_type=way) for way in ("full", "tied", "diag", "spherical")},
}


@pytest.mark.parametrize("name", MORE_REGRESSORS)
def test_regressor_options(name):
    rows = IRIS.data.iloc[::2].reset_index(drop=True)
    values = rows.iloc[:, 0] + np.cos(np.arange(len(rows))) + 1
    same(fitted(MORE_REGRESSORS[name], rows, values), around(rows))


@pytest.mark.parametrize(("outside", "refused"), [("clip", 0), ("nan", 0), ("raise", 2)])
def test_isotonic_beyond_its_ends(outside, refused):
    x = np.array([1.0, 2.0, 3.0, 4.0])
    model = fitted(IsotonicRegression(out_of_bounds=outside), x, np.array([1.0, 3.0, 2.0, 5.0]))
    rows = pd.DataFrame({"x": [0.0, 1.0, 1.5, 2.7, 4.0, 9.0]})
    same(model, rows, refused=refused)


def mixed(model: Any, **options: Any) -> Any:
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore", min_frequency=0.1)
    )
    numeric = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return make_pipeline(
        ColumnTransformer(
            [("numbers", numeric, LENGTHS), ("texts", texts, make_column_selector(dtype_exclude="number"))], **options
        ),
        model,
    )


@pytest.mark.parametrize("options", [{}, {"remainder": "passthrough", "transformer_weights": {"texts": 3.0}}], ids=len)
@pytest.mark.parametrize(
    "model", [LOGISTIC, TREE, svm.SVC(), linear_model.Ridge(), VotingClassifier([("a", GAUSS), ("b", TREE)])], ids=str
)
def test_pipeline_over_text_and_numbers(model, options):
    rows = penguins().drop(columns=["species", "is_late"])
    values = penguins()["species"] if is_classifier(model) else np.arange(len(rows)) % 5.0
    if isinstance(model, VotingClassifier):
        options = {**options, "sparse_threshold": 0.0}
    held = fitted(mixed(model, **options), rows, values)
    arguments = [
        Argument(name, {"year": "BIGINT", "island": "VARCHAR", "sex": "VARCHAR"}.get(name, "DOUBLE"), missing="nan")
        for name in rows.columns
    ]
    unknown = rows.copy()
    unknown.loc[::5, "island"] = "Anvers"
    unknown.loc[::7, "sex"] = None
    unknown.loc[3, "bill_depth_mm"] = np.inf
    program = same(held, unknown, arguments, refused=1)
    same(held, unknown.iloc[5:6], arguments)
    assert asked(program, unknown.iloc[:0]).heads[next(iter(program.heads))].shape[0] == 0


def test_columns_are_found_by_name():
    rows = numbers()
    model = fitted(linear_model.Ridge(), rows, target("", ()))
    program = read_program(model, [Argument(name, "DOUBLE") for name in reversed(rows.columns)])
    near(asked(program, rows).heads["value"], model.predict(rows))
    with pytest.raises(NoReader, match="'bill_length_mm', which is no argument"):
        read_program(model, [Argument(name, "DOUBLE") for name in rows.columns[1:]])


def test_a_step_that_is_left_out_still_refuses():
    rows = pd.DataFrame({"size": np.arange(12.0), "island": ["Dream", "Biscoe", "Torgersen"] * 4})
    columns = ColumnTransformer([("size", "passthrough", ["size"]), ("island", OneHotEncoder(), ["island"])])
    model = make_pipeline(columns, SelectKBest(f_regression, k=1), linear_model.LinearRegression())
    held = fitted(model, rows, np.arange(12.0))
    assert held[1].get_support().tolist() == [True, False, False, False]
    same(held, pd.DataFrame({"size": [1.0, 2.0], "island": ["Anvers", "Dream"]}), refused=1)


def test_a_step_of_constants_still_refuses():
    model = make_pipeline(PolynomialFeatures(0), linear_model.LinearRegression(fit_intercept=False))
    held = fitted(model, numbers(), target("", ()))
    same(held, numbers().assign(bill_depth_mm=[np.inf, *numbers()["bill_depth_mm"][1:]]), refused=1)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_validation_refuses(value):
    rows = numbers()
    for made in (linear_model.LinearRegression(), make_pipeline(StandardScaler(), linear_model.Ridge())):
        model = fitted(made, rows, target("", ()))
        same(model, rows.assign(bill_depth_mm=[value, *rows["bill_depth_mm"][1:]]), refused=1)


NO_PROGRAMS: dict[str, tuple[Any, str]] = {
    "unknown function": (FunctionTransformer(np.nan_to_num), "its function 'nan_to_num' is not known"),
    "more arguments": (FunctionTransformer(np.exp, kw_args={"where": True}), "its function takes more arguments"),
    "normal quantiles": (
        QuantileTransformer(n_quantiles=10, output_distribution="normal"),
        "the quantile function of the normal distribution is not known",
    ),
    "periodic splines": (
        SplineTransformer(extrapolation="periodic"),
        "extrapolation='periodic' takes a remainder",
    ),
    "straight splines": (
        SplineTransformer(degree=1, extrapolation="linear"),
        "extrapolation='linear' of degree 1 is another for each column",
    ),
    "one of ours": (type("Ours", (StandardScaler,), {})(), "no reader for its class"),
    "laplacian": (make_pipeline(KernelRidge(kernel="laplacian")), "its kernel 'laplacian' is not known"),
    "callable": (svm.SVC(kernel=lambda x, y: x @ y.T), "is not known"),
    "random answers": (DummyClassifier(strategy="stratified"), "strategy='stratified' answers at random"),
    "manhattan": (NearestCentroid(metric="manhattan"), "metric='manhattan' is not Euclidean"),
}


@pytest.mark.parametrize("name", NO_PROGRAMS)
def test_what_has_no_program(name):
    model, reason = NO_PROGRAMS[name]
    rows = numbers()
    made = model if hasattr(model, "predict") else make_pipeline(model, LOGISTIC)
    held = fitted(
        made, rows, target("LogisticRegression", ("female", "male")) if is_classifier(made) else range(len(rows))
    )
    with pytest.raises(NoReader) as raised:
        read_program(held, arguments_of(rows))
    assert reason in raised.value.reason


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        (Argument("x", "TIMESTAMP"), "its type is TIMESTAMP"),
        (Argument("x", "BLOB"), "its type is BLOB"),
        (Argument("x", "DOUBLE", missing="none"), "the model takes None for a missing number"),
        (Argument("x", "VARCHAR"), "a column of text reaches it"),
        (Argument("x", "FLOAT"), "it computes FLOAT arguments in float32"),
    ],
)
def test_arguments_that_have_no_program(argument, reason):
    model = fitted(linear_model.LinearRegression(), np.arange(4.0)[:, None], np.arange(4.0))
    with pytest.raises(NoReader, match=reason):
        read_program(model, [argument])


@pytest.mark.parametrize(("function", "type_"), [(np.square, "INTEGER"), (np.exp, "BOOLEAN"), (np.exp, "FLOAT")])
def test_functions_whose_answer_depends_on_the_type(function, type_):
    model = make_pipeline(FunctionTransformer(function), linear_model.LinearRegression())
    held = fitted(model, np.arange(4.0)[:, None], np.arange(4.0))
    with pytest.raises(NoReader, match=f"NumPy computes '{function.__name__}' of {type_} arguments otherwise"):
        read_program(held, [Argument("x", type_)])
