"""`sqlml functions`: what is in the catalog, one function at a time."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from sqlml.cli.opening import opened
from sqlml.cli.options import Database, Debug, Output, Project, TrustPickle
from sqlml.cli.page import as_written, plain
from sqlml.cli.printing import print_json, print_table
from sqlml.errors import FunctionExists, UnknownFunction
from sqlml.lifecycle.registration import Options
from sqlml.models.artifact import ArtifactStore
from sqlml.models.reading import ModelReader
from sqlml.models.reference import ModelReference
from sqlml.session import Session

Name = Annotated[str, typer.Argument(help="The function's SQL name.")]


def list_functions(
    like: Annotated[str | None, typer.Option(help="Only names that match a LIKE pattern: 'delay%'.")] = None,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """List the functions of the catalog, and change nothing.

    Example:
      sqlml functions list
    """
    with opened(project) as session:
        found = session.functions(like)
    if output == "json":
        print_json(found)
        return
    names = ("function", "arguments", "returns", "model", "version", "strategy")
    rows = [(f.name, f.signature, f.returns, f.model, f.version, f.strategy) for f in found]
    print_table(names, rows, empty="There are no functions: 'sqlml functions register' makes one.")


def show(name: Name, output: Output = "text", project: Project = None, debug: Debug = False) -> None:
    """Print all that is known of a function, and change nothing.

    Example:
      sqlml functions show delay_risk
    """
    with opened(project) as session:
        info = session.function(name)
    if output == "json":
        print_json(info)
        return
    about = asdict(info) | {"proof": described(info.proof)}
    del about["arguments"]
    print_table(("", ""), _lines(about), empty="")
    sys.stdout.write("\n")
    rows = [(a.name, a.type, "yes" if a.required else "no", "passed on" if a.missing else "") for a in info.arguments]
    print_table(("argument", "type", "required", "a missing value"), rows, empty="It takes no arguments.")


def register(
    name: Name,
    reference: Annotated[str, typer.Argument(help="models:/name@alias, models:/name/3 or runs:/run_id/path.")],
    on_null: Annotated[str, typer.Option(help="What a NULL does: 'propagate', 'pass' or 'error'.")] = "propagate",
    strategy: Annotated[str, typer.Option(help="How it runs: 'auto', 'kernel', 'sql' or 'python'.")] = "auto",
    comment: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Change a function that is there.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Load and try the model, and change nothing.")] = False,
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Make a SQL function of a registered model.

    Example:
      sqlml functions register delay_risk models:/delay_risk@champion
    """
    options = {"on_null": on_null, "strategy": strategy, "comment": comment}
    with opened(project, database) as session:
        if plan:
            about = planned(session, name, reference, options, replace=replace, trusted=trust_pickle)
            print_json(about) if output == "json" else print_table(("", ""), _lines(about), empty="")
            return
        info = session.register(name, reference, replace=replace, trust_pickle=trust_pickle, **options)  # type: ignore[arg-type]
    if output == "json":
        print_json(info)
        return
    sys.stdout.write(f"{info.name}({info.signature}) -> {info.returns}: {info.model} version {info.version}\n")
    sys.stdout.write("".join(f"Note: {difference}\n" for difference in info.requirements))


def drop(
    name: Name,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would go, and change nothing.")] = False,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Take a function out of the catalog; its model stays in the registry.

    Example:
      sqlml functions drop delay_risk
    """
    with opened(project) as session:
        info = session.function(name)
        if not plan:
            session.drop(name)
    if output == "json":
        print_json({"name": info.name, "dropped": not plan})
    else:
        verb = "Would drop" if plan else "Dropped"
        sys.stdout.write(f"{verb} {info.name}, which was {info.model} version {info.version}.\n")


def planned(
    session: Session, name: str, reference: str, options: dict[str, Any], *, replace: bool, trusted: bool
) -> dict[str, Any]:
    """What `register` would make: the model is fetched, loaded and tried like there, and forgotten again."""
    Options(**options)
    parsed = ModelReference.parse(reference)
    try:
        action = f"change, from {session.function(name).reference}"
        if not replace:
            raise FunctionExists(name=name)
    except UnknownFunction:
        action = "create"
    settings = session.settings
    with tempfile.TemporaryDirectory(prefix="sqlml-") as scratch:
        reader = ModelReader(settings.registry_uri, ArtifactStore(Path(scratch)), debug=settings.debug)
        try:
            artifact = reader.fetch(parsed)
            tried = reader.describe(artifact, trusted=trusted or settings.trust == "pickle")
        finally:
            reader.close()
    held = tried.description
    return {
        "action": action,
        "name": name,
        "reference": parsed.text,
        "model": held.model,
        "version": held.version,
        "arguments": [{"name": argument.name, "type": argument.type} for argument in held.arguments],
        "returns": held.returns.sql,
        "classes": held.classes,
        **options,
        "format": held.format,
        "requirements": held.requirements,
        "compiled": held.program is not None,
        "not_compiled": held.no_program,
        "proof": dict(tried.proof),
    }


def described(proof: Any) -> str | None:
    """A proof in one line."""
    if proof is None:
        return None
    differs = f"{proof.label_mismatches} labels differ, largest relative difference {proof.max_relative:.3g}"
    return f"{proof.rows} rows compared, {differs}"


def _lines(about: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, _text(value)) for key, value in about.items() if value not in (None, (), [])]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(map(str, value.values())) if set(value) == {"name", "type"} else _text(tuple(value.items()))
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


app = plain(typer.Typer, no_args_is_help=True)


def root() -> None:
    """List, show, register and drop the functions of the project.

    Example:
      sqlml functions list
    """


app.callback(help=as_written(root))(root)
app.command("list", help=as_written(list_functions))(list_functions)
app.command("show", help=as_written(show))(show)
app.command("register", help=as_written(register))(register)
app.command("drop", help=as_written(drop))(drop)
