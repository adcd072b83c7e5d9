"""`--help`: the options with the documentation that stands under their fields, in their groups."""

import shutil
import sys
import textwrap
from itertools import groupby
from typing import Any

from .arguments import ALIASES
from .fields import REQUIRED, Option, Unresolved
from .launch import CONFIGS
from .values import kind_of

PLACEHOLDERS = {"int": "INT", "float": "NUMBER", "dict": "MAPPING", "list": "LIST", "str": "TEXT"}
ABOVE = {"resume_from_checkpoint", "debug"}
"""Options that the general section documents, because they mean more on the command line."""

LAUNCHING = (
    "Start several processes as this configuration of accelerate says: {}, or a file. All flags of `accelerate launch` "
    "are accepted too, such as --num_processes 2."
)


def page(title: str, usage: list[str], own: list[Option], inherited: list[Option], full: bool) -> str:
    """The help of a training command.

    Args:
        title: what the command does.
        usage: examples of command lines.
        own: options to show with their documentation.
        inherited: options to show on one line each unless `full`.
        full: show everything with its documentation.
    """
    inherited = [option for option in inherited if option.name not in ABOVE]
    parts = [title, section("usage"), *(f"  {line}" for line in usage), section("General"), general()]
    parts += grouped(own, documented)
    if full:
        parts += grouped(inherited, documented, "Training: ")
    else:
        parts += grouped(inherited, lambda option: f"  {signature(option)}", "Training: ")
        parts += [
            "",
            "--help-all documents the training options too, which are those of transformers.TrainingArguments.",
        ]
    return "\n".join(parts)


def grouped(options: list[Option], show: Any, prefix: str = "") -> list[str]:
    lines = []
    for title, members in groupby(options, key=lambda option: option.group):
        lines += [section(prefix + title), *(show(option) for option in members)]
    return lines


def section(title: str) -> str:
    return "\n" + (f"\033[1m{title}\033[0m" if sys.stdout.isatty() else title)


def documented(option: Option) -> str:
    return f"  {signature(option)}\n{wrapped(option.doc)}"


def wrapped(text: str) -> str:
    width = max(60, min(110, shutil.get_terminal_size().columns)) - 8
    return textwrap.fill(text, width, initial_indent=" " * 8, subsequent_indent=" " * 8, break_long_words=False)


def signature(option: Option) -> str:
    """`--name TYPE  (default: value)`."""
    names = [f"--{short}" for short, name in ALIASES.items() if name == option.name] + [f"--{option.name}"]
    words = [", ".join(names), placeholder(option)]
    if option.default not in (None, False, (), "") and option.default != REQUIRED:
        words.append(f"(default: {shown(option.default)})")
    return " ".join(word for word in words if word)


def placeholder(option: Option) -> str:
    """What to write behind the flag."""
    kind = kind_of(option)
    if kind.choices:
        return listed(kind.choices)
    if kind.item and kind.item.choices:
        return f"{listed(kind.item.choices)} ..."
    texts = [text for name, text in PLACEHOLDERS.items() if name in kind.types]
    if "bool" in kind.types:
        texts = texts or ([] if option.default is False else ["{true,false}"])
    elif not texts:
        return "(in Python only)"
    return "|".join(texts)


def listed(choices: tuple[str, ...], most: int = 15) -> str:
    """Choices, of very many the first ones."""
    more = ("...",) if len(choices) > most else ()
    return "{" + ",".join(choices[: most - len(more)] + more) + "}"


def shown(default: Any) -> str:
    if isinstance(default, Unresolved):
        return default.text
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return (
        str(default).lower()
        if isinstance(default, bool)
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )


def general() -> str:
    configs = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.yaml")))
    entries = [
        ("--config FILE", "YAML file with options by name; `env:` sets environment variables. The command line wins."),
        ("--accelerate_config NAME|FILE", LAUNCHING.format(configs)),
        (
            "--resume_from_checkpoint [PATH]",
            "Go on from a checkpoint; without a path from the newest complete one in the output directory.",
        ),
        ("--debug", "Show tracebacks; so does STERNPOST_DEBUG=1."),
        ("--help, --help-all", "Show this page, or all of it."),
    ]
    return "\n".join(f"  {flag}\n{wrapped(text)}" for flag, text in entries)
