"""The command line of `guard scan`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .collect import Collection
    from .scan import Scan

FORMATS = ("text", "json", "sarif", "github", "markdown")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("project", type=Path, metavar="PROJECT", help="folder, wheel or sdist of the project to scan")
    parser.add_argument("--package", metavar="NAME", required=True, help="import name of the package that it uses")
    parser.add_argument("--from", dest="old", metavar="OLD", help="the version that the project works with")
    parser.add_argument("--to", dest="new", metavar="NEW", help="the version to come: each is a snapshot, a path, an")
    parser.add_argument("--range", metavar="VERSIONS", help="instead of --to: a folder, a list, or a condition `>=1.0`")
    parser.add_argument("--format", choices=FORMATS, default="text", help="how to tell it")
    parser.add_argument("--cache", type=Path, metavar="PATH", help="where fetched and unpacked versions are kept")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Scan and print; the exit code is 1 if something breaks."""
    from ..settings import SettingsError
    from .scan import read_libraries, read_project, scan

    if not arguments.old or bool(arguments.new) == bool(arguments.range):
        raise SettingsError("`guard scan` needs `--from OLD` and either `--to NEW` or `--range VERSIONS`.")
    collection = read_project(arguments.project, arguments.package)
    if arguments.range:
        return _survey(arguments, collection)
    old, new = read_libraries((arguments.old, arguments.new), arguments.package, arguments.cache)
    result = scan(collection, old, new, arguments.project.name)
    _tell(result, arguments.format)
    return result.code


def _survey(arguments: argparse.Namespace, collection: Collection) -> int:
    from ..settings import SettingsError
    from . import ranges
    from .scan import read_libraries

    if arguments.format not in ranges.FORMATS:
        known = " or ".join(ranges.FORMATS)
        raise SettingsError(f"`--range` is told as {known}, not as {arguments.format}: it is about no single line.")
    specs = ranges.listed(arguments.range, arguments.package)
    libraries = read_libraries((arguments.old, *specs), arguments.package, arguments.cache)
    result = ranges.survey(collection, next(libraries), libraries, arguments.project.name)
    sys.stdout.write(ranges.FORMATS[arguments.format](result).rstrip("\n") + "\n")
    return 0


def _tell(result: Scan, kind: str) -> None:
    """In colour and with the lines around each hit, where a person reads it."""
    if kind == "text" and sys.stdout.isatty():
        from rich.console import Console

        from .terminal import show

        show(result, Console())
    else:
        from .report import FORMATS as WRITERS

        sys.stdout.write(WRITERS[kind](result).rstrip("\n") + "\n")
