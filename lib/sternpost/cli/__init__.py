"""The command line: `sternpost COMMAND [options]`. One file per command; each has a docstring and `main(argv)`.

Neither `--help` nor a mistake in the options loads torch or transformers.
"""

import importlib
import os
import sys
from types import ModuleType

COMMANDS = ("sft", "reward", "dpo", "rloo", "grpo", "guard", "env")
"""Modules of this package that are commands, in the order of the help."""


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    from .errors import FAILED, INTERRUPTED, OK, USAGE, UsageError, nearest, report

    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return OK if argv else USAGE
    if argv[0] in ("-V", "--version"):
        from .. import __version__

        print(__version__)
        return OK
    command = f"sternpost {argv[0]}"
    try:
        if argv[0] not in COMMANDS:
            raise UsageError(f"no command {argv[0]}, only {', '.join(COMMANDS)}.{nearest(argv[0], list(COMMANDS))}")
        return int(load(argv[0]).main(argv[1:]))
    except UsageError as error:
        return report(command if argv[0] in COMMANDS else "sternpost", error, USAGE)
    except KeyboardInterrupt:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"\n{command}: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # `| head` has read enough: nothing to say, and nobody to say it to
        return OK
    except Exception as error:
        return report(command, error, FAILED)


def load(command: str) -> ModuleType:
    """The module of a command."""
    return importlib.import_module(f".{command}", __name__)


def overview() -> str:
    """The help of `sternpost` itself: each command with the first line of its module's docstring."""
    lines = ["usage: sternpost COMMAND [options]", "", "Post-training for language models.", "", "commands:"]
    for command in COMMANDS:
        first = (load(command).__doc__ or "").strip().splitlines()[0]
        lines.append(f"  {command:<8}{first}")
    lines += [
        "",
        "`sternpost COMMAND --help` lists the options of a command. `sternpost --version` prints the version.",
    ]
    return "\n".join(lines)


__all__ = ["COMMANDS", "main"]
