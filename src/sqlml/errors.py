"""Every error that sqlml raises on purpose, one class a sentence, in one tree.

    SqlmlError
    ├── SettingsError               a setting or project file is wrong
    │   ├── UnknownSetting
    │   ├── BadSetting
    │   ├── JavaMissing
    │   ├── NoProject
    │   ├── BadFile
    │   ├── MissingPackage
    │   └── CannotPack
    ├── StatementError              a statement of sqlml's own can't be read
    │   ├── SyntaxMistake
    │   ├── UnknownOption
    │   ├── NotAvailable
    │   └── PinnedInView
    ├── CatalogError                what the catalog holds, or doesn't
    │   ├── UnknownFunction
    │   ├── FunctionExists
    │   ├── UnknownTable
    │   ├── TableExists
    │   ├── NameTaken
    │   ├── NameReserved
    │   ├── CatalogUnreachable
    │   └── CatalogFromNewerVersion
    ├── BindingError                a call's arguments don't fit the model
    │   ├── MissingArguments
    │   ├── UnknownArgument
    │   ├── WrongCount
    │   ├── MixedArguments
    │   ├── RepeatedArgument
    │   ├── AmbiguousColumn
    │   ├── UnknownColumn
    │   ├── UnknownColumns
    │   ├── NoSuchOutput
    │   └── NotNumeric
    ├── ModelError                  a model can't be found, trusted or loaded
    │   ├── BadReference
    │   ├── UnknownModel
    │   ├── RegistryUnreachable
    │   ├── NoSignature
    │   ├── UnsupportedModel
    │   ├── NotTrusted
    │   ├── ArtifactCorrupt
    │   ├── ModelDied
    │   ├── ModelFailedToLoad
    │   ├── CannotSave
    │   └── CannotPublish
    ├── DataError                   a value, met while a query runs
    │   ├── BadCast
    │   ├── NullArgument
    │   ├── UnknownCategory
    │   ├── InfiniteArgument
    │   ├── PredictionFailed
    │   ├── RewriteRefused
    │   └── AnswersDiffer
    ├── TableError                  a prediction table's declaration, or a refresh of it
    │   ├── BadInterval
    │   ├── BadWindow
    │   ├── BadCron
    │   ├── BadZone
    │   ├── TableCycle
    │   ├── CannotExport
    │   ├── BadTableFile
    │   ├── TableBusy
    │   ├── TableMoved
    │   ├── EmptyPartition
    │   ├── BadColumn
    │   ├── TableUnwritable
    │   ├── SchemaDrift
    │   ├── BadDeclaration
    │   ├── BadRefresh
    │   ├── AuditFailed
    │   ├── RefreshFailed
    │   ├── TableMissing
    │   ├── TableUnreadable
    │   ├── VersionGone
    │   ├── RetentionTooShort
    │   └── ScheduleFailed
    ├── TargetExists                rows were to be written where there is something
    └── EngineError                 the engine refused the statement

Each class states its sentence once, in ``template``; its fields are the keyword arguments it takes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar


def did_you_mean(value: str, candidates: Iterable[str]) -> str:
    """The tail of an error message that names the nearest valid value, or nothing.

    Example:
        >>> did_you_mean("dealy_risk", ["delay_risk", "species"])
        " Did you mean 'delay_risk'?"
        >>> did_you_mean("zzz", ["delay_risk"])
        ''
    """
    by_key = {candidate.casefold(): candidate for candidate in candidates}
    near = difflib.get_close_matches(value.casefold(), by_key, n=1, cutoff=0.6)
    return f" Did you mean '{by_key[near[0]]}'?" if near else ""


def quoted(names: Iterable[str]) -> str:
    """Names in quotes, with commas between: how every message lists things.

    Example:
        >>> quoted(["a", "b"])
        "'a', 'b'"
    """
    return ", ".join(f"'{name}'" for name in names)


class SqlmlError(Exception):
    """The root: catch this to catch everything that sqlml raises on purpose."""

    template: ClassVar[str] = "{message}"

    def __init__(self, **values: Any) -> None:
        self.values = values
        super().__init__(self.template.format(**values))

    def __reduce__(self) -> tuple[Any, ...]:
        return restore, (type(self).__name__, self.values, str(self))


def restore(name: str, values: dict[str, Any], message: str) -> SqlmlError | None:
    """Make an error again from its class's name, fields and message, as it comes out of an engine or a process.

    Example:
        >>> restore("UnknownFunction", {"name": "f"}, "No function is named 'f'.")
        UnknownFunction("No function is named 'f'.")
        >>> restore("ValueError", {}, "x") is None
        True
    """
    cls = error_classes().get(name)
    if cls is None:
        return None
    error = cls.__new__(cls)
    error.values = values
    Exception.__init__(error, message)
    return error


def error_classes() -> dict[str, type[SqlmlError]]:
    """Every class of the tree by its name, parents first."""
    found: dict[str, type[SqlmlError]] = {}
    waiting: list[type[SqlmlError]] = [SqlmlError]
    while waiting:
        cls = waiting.pop(0)
        found[cls.__name__] = cls
        waiting.extend(cls.__subclasses__())
    return found


class SettingsError(SqlmlError):
    """A setting or a project file is wrong."""


class UnknownSetting(SettingsError):
    """A key in sqlml.toml that no setting has."""

    template = "{where} has no setting '{key}'.{suggestion}"


class BadSetting(SettingsError):
    """A setting's value is of the wrong kind."""

    template = "The setting '{key}' can't be '{value}': {reason}."


class JavaMissing(SettingsError):
    """Spark needs Java, and there is none of the right age."""

    template = (
        "Spark needs Java {least} or later, and there is {found}: install one and set JAVA_HOME, "
        "or run pip install 'sqlml[jvm]', which brings its own."
    )


class NoProject(SettingsError):
    """A command that needs a project folder ran outside one."""

    template = "There is no sqlml.toml in '{folder}' or above it: run 'sqlml init' to make a project."


class BadFile(SettingsError):
    """What a file of the project declares can't be."""

    template = "In '{file}': {reason} Nothing was changed."


class MissingPackage(SettingsError):
    """Something was asked for whose library is not installed."""

    template = "{what} needs the package '{package}': pip install 'sqlml[{extra}]'."


class CannotPack(SettingsError):
    """The Python environment can't travel to a cluster."""

    template = "The environment at '{prefix}' can't be packed: {reason}."


class StatementError(SqlmlError):
    """A statement of sqlml's own can't be read."""


class SyntaxMistake(StatementError):
    """One of sqlml's own statements is written wrongly."""

    template = "In {statement}: expected {expected}, found {found}."


class UnknownOption(StatementError):
    """OPTIONS (...) names an option, or gives it a value, that does not exist."""

    template = "{statement} has no {what} '{value}': it takes {valid}.{suggestion}"


class NotAvailable(StatementError):
    """A form that sqlml knows of but does not have."""

    template = "{what} is not available: {instead}."


class PinnedInView(StatementError):
    """A view or macro would store a call that names a version, which the next session can't find."""

    template = (
        "A view or macro keeps functions by name, so '{reference}' can't stand in one: "
        "CREATE FUNCTION ... USING MODEL '{model}' and call that."
    )


class CatalogError(SqlmlError):
    """What the catalog holds, or doesn't."""


class UnknownFunction(CatalogError):
    """No function of that name is in the catalog."""

    template = "No function is named '{name}'.{suggestion}"


class FunctionExists(CatalogError):
    """CREATE FUNCTION without OR REPLACE on a name that is taken."""

    template = "A function named '{name}' exists: write CREATE OR REPLACE FUNCTION to change it."


class UnknownTable(CatalogError):
    """No prediction table of that name is in the catalog."""

    template = "No prediction table is named '{name}'.{suggestion}"


class TableExists(CatalogError):
    """CREATE PREDICTION TABLE without OR REPLACE on a name that is taken."""

    template = "A prediction table is named '{name}' already: CREATE OR REPLACE PREDICTION TABLE replaces it."


class NameTaken(CatalogError):
    """The name, or a name that belongs to the function, is in use by something else."""

    template = "'{name}' can't be made, for {owner} already has the name '{taken}': choose another name."


class NameReserved(CatalogError):
    """A name that sqlml keeps for its own functions, or that can't be one."""

    template = "'{name}' can't name a function: {reason}."


class CatalogUnreachable(CatalogError):
    """The catalog's database can't be opened."""

    template = "The catalog at '{url}' can't be opened ({reason}): check the setting 'catalog'."


class CatalogFromNewerVersion(CatalogError):
    """The catalog was written by a newer sqlml, whose tables this one doesn't know."""

    template = "The catalog at '{url}' was made by a newer sqlml (revision '{revision}'): upgrade this one."


class BindingError(SqlmlError):
    """A call's arguments don't fit the model."""


class MissingArguments(BindingError):
    """A row or a list of names lacks arguments that the model requires."""

    template = "'{function}' needs {missing}, which {source} does not have.{suggestion}"


class UnknownArgument(BindingError):
    """A named argument that the model doesn't take."""

    template = "'{function}' takes no argument '{name}': it takes {valid}.{suggestion}"


class WrongCount(BindingError):
    """Too many or too few positional arguments."""

    template = "'{function}' takes {expected} argument(s) ({arguments}), found {found}."


class MixedArguments(BindingError):
    """Some arguments have names and some don't."""

    template = "'{function}' was given both named and positional arguments: name all of them, or none."


class RepeatedArgument(BindingError):
    """One argument was given twice."""

    template = "'{function}' was given the argument '{name}' twice."


class AmbiguousColumn(BindingError):
    """Two columns could be meant by one argument."""

    template = "'{function}' can't tell which column is its argument '{name}': {first} and {second} both fit."


class UnknownColumn(BindingError):
    """EXCLUDE, REPLACE or RENAME behind a star names a column that the star doesn't have."""

    template = "'{source}' has no column '{name}'.{suggestion}"


class UnknownColumns(BindingError):
    """The columns behind a star or row can't be found out."""

    template = "The columns of '{source}' can't be seen from where '{function}' stands ({reason}): name the arguments."


class NoSuchOutput(BindingError):
    """A score or probabilities were asked of a model that has none."""

    template = "'{function}' has no {output}: {reason}."


class NotNumeric(BindingError):
    """The engine's own predict() gives a DOUBLE, which this model's answer is not."""

    template = "predict('{function}', ...) gives a DOUBLE here, and '{function}' gives {type}: call {function}(...)."


class ModelError(SqlmlError):
    """A model can't be found, trusted or loaded."""


class BadReference(ModelError):
    """A text that is no model reference."""

    template = (
        "'{reference}' is no model reference: write 'models:/name@alias', 'models:/name/3' or 'runs:/run_id/path'."
    )


class UnknownModel(ModelError):
    """The registry doesn't have the model, version, alias or run."""

    template = "The registry at '{registry}' has no {what}.{suggestion}"


class RegistryUnreachable(ModelError):
    """The registry doesn't answer."""

    template = "The registry at '{registry}' can't be reached ({reason}): check the setting 'registry'."


class NoSignature(ModelError):
    """The model says nowhere what its inputs are called."""

    template = (
        "'{model}' has no signature, and its {flavour} model has no feature names: log it again with "
        "sqlml.log_model(model, name=..., signature_from=frame), or set one with mlflow.models.set_signature."
    )


class UnsupportedModel(ModelError):
    """The model's signature or output is of a kind that no SQL function can have."""

    template = "'{model}' can't be a SQL function: {reason}."


class NotTrusted(ModelError):
    """Loading the model would run code that it carries."""

    template = (
        "'{model}' is stored as {format}, which runs code when it is loaded ({detail}): if you trust where it "
        'comes from, use --trust-pickle or trust = "pickle" in sqlml.toml.'
    )


class ArtifactCorrupt(ModelError):
    """A file of the model isn't what was registered."""

    template = (
        "The file '{file}' of '{model}' is {state} since it was registered: run CREATE OR REPLACE FUNCTION to "
        "fetch it from the registry again."
    )


class ModelDied(ModelError):
    """The child process that tried the model ended."""

    template = "'{model}' ended the process that loaded it ({how}): the artifact is broken or its library is."


class ModelFailedToLoad(ModelError):
    """The model's library refused it."""

    template = "'{model}' can't be loaded: {library} raised {error}."


class CannotSave(ModelError):
    """No format that MLflow offers can hold the fitted model so that it predicts the same when loaded."""

    template = "A fitted {type} can't be saved so that it loads again ({reason})."


class CannotPublish(ModelError):
    """A version's answers can't be a SQL expression, or a class of a jar."""

    template = "'{function}' can't be published, for '{model}' is no {what}: {reason}."


class DataError(SqlmlError):
    """A value, met while a query runs."""


class BadCast(DataError):
    """A value that can't become the argument's type without a loss."""

    template = "'{function}': the argument '{argument}' takes {type}, and {value} {reason}."


class NullArgument(DataError):
    """A NULL, where the function's on_null option is 'error'."""

    template = (
        "'{function}': the argument '{argument}' is NULL in {rows} of {total} rows of a batch, and on_null is 'error'."
    )


class UnknownCategory(DataError):
    """A category that the model never saw and refuses."""

    template = "'{function}': the model never saw {value} in the argument '{argument}' and refuses it."


class InfiniteArgument(DataError):
    """An infinity, which the model refuses."""

    template = "'{function}': the argument '{argument}' is infinite in {rows} rows of a batch, which the model refuses."


class PredictionFailed(DataError):
    """The model raised while it predicted."""

    template = "'{function}' ({model}) raised {error} on its batch {batch} of {rows} rows: SQLML_DEBUG=1 logs where."


class RewriteRefused(DataError):
    """A row that the model itself must answer, in a query that no longer has all of its arguments."""

    template = (
        "'{function}': the model itself must answer a row (it holds an infinity, or a category that its program does "
        "not know), and the rewritten query no longer has '{argument}': run it again with SQLML_REWRITES=none."
    )


class AnswersDiffer(DataError):
    """A function's answers aren't the model's own."""

    template = (
        "'{function}' answers otherwise than its model in {rows} rows of {total} (largest relative difference "
        "{relative}): run CREATE OR REPLACE FUNCTION with strategy = 'python', and report it with the rows shown."
    )


class TableError(SqlmlError):
    """What a prediction table says of itself, or what a refresh of it met."""


class BadInterval(TableError):
    """A text that is no interval."""

    template = "'{value}' is no interval: write INTERVAL '1' DAY, or a number for integers.{suggestion}"


class BadWindow(TableError):
    """A length or a bound that the column's type has none of."""

    template = "'{value}' is no window of a column of the type {kind}: {reason}."


class BadCron(TableError):
    """A text that is no cron expression."""

    template = "'{cron}' is no cron expression: {reason}."


class BadZone(TableError):
    """A time zone that the time zone database has none of."""

    template = "There is no time zone '{zone}'.{suggestion}"


class TableCycle(TableError):
    """Tables that read each other."""

    template = "These tables read each other, so that none can be refreshed first: {cycle}."


class CannotExport(TableError):
    """A schedule that what it is exported to has no form for."""

    template = "The schedule '{cron}' of '{table}' can't be written for {target}: {reason}."


class BadTableFile(TableError):
    """A file that was to come into a table, and doesn't fit."""

    template = "'{path}' can't come into the table: {reason}. Nothing was published."


class TableBusy(TableError):
    """Others published faster, every time."""

    template = "'{path}' was changed by others at each of {tries} tries. Nothing was published: run it again."


class TableMoved(TableError):
    """A commit that was made from one version of a table, which is at another by now."""

    template = (
        "'{path}' was at version {at} when this was made, and is at {version} now. Nothing was published: run it again."
    )


class EmptyPartition(TableError):
    """A text without characters, which no folder can be named by."""

    template = "The partition column '{column}' is '' in a row, which readers take for NULL. Nothing was published."


class BadColumn(TableError):
    """A column that a table can't have."""

    template = "The column '{column}' can't be in a table: {reason}."


class TableUnwritable(TableError):
    """What keeps a table from being written: a full disk, a folder that is read-only."""

    template = "'{path}' can't be written: {reason}. Nothing was published."


class SchemaDrift(TableError):
    """A query that gives other columns than its table has."""

    template = (
        "The column '{column}' of the query of '{table}' {what}. Nothing was published; if it is meant to be so, "
        "REFRESH PREDICTION TABLE {table} FULL rebuilds the table."
    )


class BadDeclaration(TableError):
    """A prediction table that can't be as it is declared."""

    template = "'{table}' can't be declared so: {reason}."


class BadRefresh(TableError):
    """A refresh that its table has none of."""

    template = "'{table}' can't be refreshed so: {reason}."


class AuditFailed(TableError):
    """Rows that are not as the table's declaration says."""

    template = "The audit of '{table}'{window} failed: {failed}.{kept} Nothing was published."


class RefreshFailed(TableError):
    """Some windows of a refresh were not published."""

    template = (
        "{failed} of {count} windows of '{table}' were not published; the first, {window}: {reason} "
        "What was published stays, and the refresh can be resumed."
    )


class TableMissing(TableError):
    """No table, or no such version of one."""

    template = "There is no table at '{path}'{when}."


class TableUnreadable(TableError):
    """A table whose log is damaged."""

    template = "The table at '{path}' can't be read: {reason}."


class VersionGone(TableError):
    """An older version of a table, whose files are not all there any more."""

    template = (
        "Version {version} of the table at '{path}' can't be read any more: {gone} of its {count} files were "
        "vacuumed. The option 'retention' of its declaration says for how long they are kept."
    )


class RetentionTooShort(TableError):
    """A vacuum that would take away what the table's declaration keeps."""

    template = (
        "'{table}' keeps its older versions for {kept}, and '{asked}' is shorter: declare it with "
        "OPTIONS (retention = '{asked}') first."
    )


class ScheduleFailed(TableError):
    """Some of the tables that were due were not refreshed."""

    template = "These tables were due and were not refreshed: {tables}."


class TargetExists(SqlmlError):
    """Rows were to be written where there is something already."""

    template = "'{path}' is there already: choose another folder, or mode 'overwrite', which replaces it."


class EngineError(SqlmlError):
    """The engine refused the statement; its own message, unchanged."""
