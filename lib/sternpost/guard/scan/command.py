"""The command line of `guard scan`."""

import argparse
import sys
from pathlib import Path

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
    from . import ranges, report
    from .scan import UNREADABLE, read_library, read_project, scan

    if not arguments.old or bool(arguments.new) == bool(arguments.range):
        raise SettingsError("`guard scan` needs `--from OLD` and either `--to NEW` or `--range VERSIONS`.")
    collection = read_project(arguments.project, arguments.package)
    old = read_library(arguments.old, arguments.package, arguments.cache)
    if arguments.range:
        specs = ranges.listed(arguments.range, arguments.package)
        others = (read_library(spec, arguments.package, arguments.cache) for spec in specs)
        surveyed = ranges.survey(collection, old, others, arguments.project.name)
        sys.stdout.write(ranges.as_json(surveyed) if arguments.format == "json" else ranges.as_text(surveyed))
        return 0
    new = read_library(arguments.new, arguments.package, arguments.cache)
    result = scan(collection, old, new, arguments.project.name)
    sys.stdout.write(report.FORMATS[arguments.format](result).rstrip("\n") + "\n")
    return result.code or (UNREADABLE if result.problems and not collection.walked else 0)
