"""The command line and the config file of a command -> checked values, before anything heavy is imported."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UsageError, nearest
from .fields import Option
from .launch import LaunchFlag, config_file, launch_flags
from .values import BOOLEANS, convert, convert_mapping, kind_of

ALIASES = {"model": "model_name_or_path", "dataset": "dataset_name"}
"""Short names of options."""

BARE = {"resume_from_checkpoint": "true", "debug": "traceback"}
"""What an option means that stands without a value, beyond booleans and those that their field says so of."""


class Arguments(NamedTuple):
    """What the user asked for."""

    values: dict[str, Any]
    """Value of every option that was given, by name; the command line has won over the config file."""
    launch: list[str]
    """What `accelerate launch` is to be called with; empty to run in this process."""
    env: dict[str, str]
    """Variables that the config file sets."""
    debug: bool
    """Show tracebacks."""
    rest: list[str]
    """The command line without what concerns launching: what each launched process is called with."""


class Word(NamedTuple):
    """A flag of the command line with what follows it."""

    flag: str
    values: list[str]
    source: list[str]
    """The words of the command line that it came from."""


def parse_arguments(argv: list[str], options: list[Option]) -> Arguments:
    """Values for the options.

    Raises:
        UsageError: an unknown flag or key, a wrong type or choice, an unreadable config file.
    """
    known = {option.name: option for option in options}
    words = list(split_words(argv))
    config: dict[str, Any] = {}
    for word in words:
        if name_of(word.flag) == "config":
            config = read_config(single(word))
    env = read_env(config.pop("env", None))
    launch = pop_launch_keys(config, known)
    values = convert_mapping(options, {full_name(key): value for key, value in config.items()}, "config file")

    debug, rest = False, []
    for word in words:
        name = full_name(word.flag)
        if name == "config":
            rest += word.source
        elif name == "debug" and not word.values:
            debug = True
            rest += word.source
        elif name in known:
            values[name] = convert(known[name], flag_values(word, known[name]), word.flag)
            rest += word.source
        elif name.startswith("no_") and is_boolean(known.get(name[3:])):
            single(word, count=0)
            values[name[3:]] = False
            rest += word.source
        else:
            launch.update(launch_words(word, known))
    return Arguments(values, [part for parts in launch.values() for part in parts], env, debug, rest)


def split_words(argv: list[str]) -> Iterator[Word]:
    """The flags, each with the values that follow it."""
    flag: Word | None = None
    for text in argv:
        if is_flag(text):
            if flag:
                yield flag
            name, equals, value = text.partition("=")
            flag = Word(name, [value] if equals else [], [text])
        elif flag is None:
            hint = f" Did you mean --config {text}?" if Path(text).suffix in (".yaml", ".yml") else ""
            raise UsageError(f"unexpected argument {text}: options begin with --.{hint}")
        else:
            flag.values.append(text)
            flag.source.append(text)
    if flag:
        yield flag


def is_flag(text: str) -> bool:
    """Whether a word is a flag: `-1` and `-.5e3` are values."""
    return bool(re.match(r"--?[A-Za-z]", text))


def name_of(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def full_name(flag: Any) -> str:
    name = name_of(str(flag))
    return ALIASES.get(name, name)


def is_boolean(option: Option | None) -> bool:
    return option is not None and "bool" in kind_of(option).types


def flag_values(word: Word, option: Option) -> list[str]:
    """The values of a flag, or what it means without any."""
    if word.values and is_boolean(option) and "str" not in kind_of(option).types:
        if word.values[0].lower() not in (*BOOLEANS, "none", "null"):
            raise UsageError(f"{word.flag} must be true or false, but got {word.values[0]}.")
    if word.values:
        return word.values
    if option.bare or is_boolean(option):
        return ["true"]
    if option.name in BARE:
        return [BARE[option.name]]
    raise UsageError(f"{word.flag} needs a value.")


def single(word: Word, count: int = 1) -> str:
    if len(word.values) != count:
        takes = "takes no value" if count == 0 else "needs one value"
        raise UsageError(f"{word.flag} {takes}, but got {' '.join(word.values) or 'nothing'}.")
    return word.values[0] if word.values else ""


# ---- The config file


def read_config(path: str) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        UsageError: the file cannot be read, is no YAML, holds no mapping, or a key twice.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that is given twice, of which YAML would silently take the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise UsageError(f"{path}, line {key.start_mark.line + 1}: `{key.value}` is given twice.")
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        config = yaml.load(Path(path).expanduser().read_text("utf-8"), Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path} is not YAML: {' '.join(str(error).split())}.") from error
    if config is not None and not isinstance(config, dict):
        raise UsageError(f"--config {path} must hold `option: value` lines, but holds {type(config).__name__}.")
    return config or {}


def read_env(block: Any) -> dict[str, str]:
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise UsageError(f"config file: `env` must be a mapping of variables, but got {block!r}.")
    for name, value in block.items():
        if isinstance(value, dict | list) or value is None:
            raise UsageError(f"config file: `env.{name}` must be text or a number, but got {value!r}.")
    return {str(name): str(value) for name, value in block.items()}


# ---- Flags of `accelerate launch`


def launch_words(word: Word, known: dict[str, Option]) -> dict[str, list[str]]:
    """A flag of `accelerate launch` as its command line has it.

    Raises:
        UsageError: the flag is neither ours nor its.
    """
    flags = launch_flags()
    name = name_of(word.flag)
    if name not in flags:
        names = [*ALIASES, *known, *flags]
        unknown = f"unknown option {word.flag}."
        raise UsageError(unknown + nearest(word.flag, ["--" + known for known in names]))
    return launch_part(flags[name], name, word.values, word.flag)


def launch_part(flag: LaunchFlag, name: str, values: list[str], place: str) -> dict[str, list[str]]:
    if flag.takes_value != (len(values) == 1) or len(values) > 1:
        takes = "needs one value" if flag.takes_value else "takes no value"
        raise UsageError(f"{place} {takes}, but got {' '.join(values) or 'nothing'}.")
    if flag.choices and values[0] not in flag.choices:
        hint = nearest(values[0], list(flag.choices))
        raise UsageError(f"{place} must be one of {', '.join(flag.choices)}, but got {values[0]}.{hint}")
    if flag.integer and not values[0].isdigit():
        raise UsageError(f"{place} must be a whole number, but got {values[0]}.")
    if name == "accelerate_config":
        return {"config_file": ["--config_file", config_file(values[0])]}
    return {name: [f"--{name}", *values]}


def pop_launch_keys(config: dict[str, Any], known: dict[str, Option]) -> dict[str, list[str]]:
    """Take the keys out of a config file that are flags of `accelerate launch`."""
    others = [key for key in config if full_name(key) not in known]
    flags = launch_flags() if others else {}
    launch: dict[str, list[str]] = {}
    for key in others:
        name = name_of(str(key))
        if name in flags:
            value = config.pop(key)
            if flags[name].takes_value or value is True:
                launch |= launch_part(flags[name], name, [] if value is True else [str(value)], f"config file: `{key}`")
    return launch
