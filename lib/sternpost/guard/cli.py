"""`sternpost guard` and its commands. Exit code 0: nothing broken, 1: something is, 2: it cannot be told."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .scan import command as scan_command

if TYPE_CHECKING:
    from packaging.version import Version

_FORMATS = ("text", "json", "markdown", "sarif", "github", "html")
"""Those of `report.FORMATS`, which is loaded only to write one."""

EPILOG = "The package is the one of the pyproject.toml here or above; `[tool.<name>.guard]` there says what is public."


def main(argv: list[str] | None = None) -> int:
    """Run a command of the guard and return the exit code."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # after `--help` or wrong usage, which argparse has told
        return int(stop.code or 0)
    try:
        import griffe  # noqa: F401  # reported here, before the modules that need it
    except ImportError:
        print("guard: griffe is needed to read sources: `pip install 'sternpost[guard]'`.", file=sys.stderr)
        return 2
    try:
        return int(arguments.run(arguments))
    except (ValueError, OSError) as error:
        print(f"guard: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sternpost guard", description="Keep the promises of a package: read from its source.", epilog=EPILOG
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    snapshot = commands.add_parser("snapshot", help="write the facts of this tree to next.txt")
    snapshot.add_argument("--output", metavar="FILE", help="write there instead; `-` for the terminal")
    snapshot.set_defaults(run=_snapshot)
    check = commands.add_parser("check", help="compare this tree with the newest frozen snapshot")
    _add_format(check)
    check.add_argument("--as", dest="asked", metavar="VERSION", help="may this tree be released as VERSION?")
    witness = "run a consumer of each break on the last release (or on PATH, a wheel or folder of it) and on this tree"
    check.add_argument("--witness", nargs="?", const=True, metavar="PATH", help=witness)
    check.set_defaults(run=_check)
    freeze = commands.add_parser("freeze", help="keep next.txt as the snapshot of a release")
    freeze.add_argument("version", metavar="VERSION", help="the release, 0.1.0 say")
    freeze.set_defaults(run=_freeze)
    diff = commands.add_parser("diff", help="compare any two versions of a package")
    diff.add_argument("old", metavar="OLD", help="a directory, an archive, name==version, installed name, git:REVISION")
    diff.add_argument("new", metavar="NEW", help="the same; or a snapshot file")
    _add_format(diff)
    diff.set_defaults(run=_diff)
    twins = commands.add_parser("twins", help="check that registered copies differ only as accepted")
    twins.add_argument("pair", nargs="*", metavar="PATH", help="with --accept: the two functions of one pair")
    twins.add_argument("--accept", action="store_true", help="enter the difference as it is now")
    twins.add_argument("--reason", default="", help="why the difference is right; needed with --accept")
    twins.set_defaults(run=_twins)
    promotions = commands.add_parser(
        "promotions", help="usage by cost of every method: what to promote, what to demote"
    )
    promotions.set_defaults(run=_promotions)
    scan = commands.add_parser("scan", help="what another version of a package breaks in a project that uses it")
    scan_command.add_arguments(scan)
    for command in (snapshot, check, freeze, twins, promotions):
        command.add_argument("--package", type=Path, metavar="PATH", help="directory of the package to look at")
        command.add_argument("--snapshots", type=Path, metavar="PATH", help="directory of the snapshots")
    return parser


def _add_format(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", choices=_FORMATS, default="text", help="for people, pages, code hosts or machines")


def _snapshot(arguments: argparse.Namespace) -> int:
    from .extract import extract
    from .settings import find_settings
    from .snapshot import render

    settings = find_settings(arguments.package, arguments.snapshots)
    snapshot = extract(settings)
    text = render(snapshot.facts)
    for problem in snapshot.problems:
        print(f"guard: {problem}", file=sys.stderr)
    if arguments.output == "-":
        sys.stdout.write(text)
    else:
        target = Path(arguments.output) if arguments.output else settings.next
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
        print(f"guard: {len(snapshot.facts)} facts in {settings.shown(target.resolve())}")
    return 2 if snapshot.problems else 0


def _check(arguments: argparse.Namespace) -> int:
    from .check import check
    from .report import FORMATS
    from .settings import find_settings

    settings = find_settings(arguments.package, arguments.snapshots)
    asked = str(_version(arguments.asked)) if arguments.asked else None
    verdict = check(settings, asked=asked)
    if arguments.witness:
        from .check import GuardError
        from .witness import with_witnesses

        try:
            verdict = with_witnesses(verdict, settings, None if arguments.witness is True else Path(arguments.witness))
        except GuardError as error:  # the verdict stands without them
            print(f"guard: there are no witnesses: {error}", file=sys.stderr)
    sys.stdout.write(FORMATS[arguments.format](verdict).rstrip("\n") + "\n")
    return verdict.code


def _diff(arguments: argparse.Namespace) -> int:
    from .report import FORMATS
    from .versions import diff, read_version

    verdict = diff(read_version(arguments.old), read_version(arguments.new))
    sys.stdout.write(FORMATS[arguments.format](verdict).rstrip("\n") + "\n")
    return verdict.code


def _version(text: str) -> "Version":
    from packaging.version import InvalidVersion, Version

    from .check import GuardError

    try:
        return Version(text)
    except InvalidVersion:
        raise GuardError(f"`{text}` is no version. Give one like 0.1.0.") from None


def _twins(arguments: argparse.Namespace) -> int:
    from .settings import find_settings
    from .twins_report import accept, report

    settings = find_settings(arguments.package, arguments.snapshots)
    text, code = accept(settings, arguments.pair, arguments.reason) if arguments.accept else report(settings)
    sys.stdout.write(text)
    return code


def _promotions(arguments: argparse.Namespace) -> int:
    from .promotions import report
    from .settings import find_settings

    text, code = report(find_settings(arguments.package, arguments.snapshots))
    sys.stdout.write(text)
    return code


def _freeze(arguments: argparse.Namespace) -> int:
    """Refuses what would freeze something else than this tree, or change what is frozen, or break what is promised."""
    from .check import GuardError, check, newest_frozen, staleness
    from .extract import extract
    from .fragments import overdue
    from .report import as_text
    from .settings import find_settings

    version = str(_version(arguments.version))
    settings = find_settings(arguments.package, arguments.snapshots)
    target = settings.snapshots / f"{version}.txt"
    if target.exists():
        raise GuardError(
            f"{settings.shown(target)} is frozen: a release that is out does not change. Take a new version."
        )
    snapshot = extract(settings)
    if snapshot.problems:
        raise GuardError(f"{snapshot.problems[0]}; what cannot be read cannot be promised.")
    if late := overdue(snapshot, version):
        raise GuardError(" ".join(map(str, late)))
    if (stale := staleness(settings, snapshot)) is not None:
        print(f"guard: {stale}", file=sys.stderr)
        return 1
    if newest_frozen(settings.snapshots) is not None and (verdict := check(settings, asked=version)).code:
        print(as_text(verdict), file=sys.stderr, end="")
        return verdict.code
    target.write_text(settings.next.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
    print(f"guard: {settings.shown(target)} is the promise of {version} from now on")
    return 0
