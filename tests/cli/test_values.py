"""Text and YAML values become values of the type that an option is annotated with, or an error."""

import pytest

from sternpost.cli.errors import UsageError
from sternpost.cli.fields import PACKAGE, Option
from sternpost.cli.values import convert, convert_mapping, kind_of

HERE = PACKAGE / "options.py"


def option(annotation: str, default=None, **more) -> Option:
    return Option("option", annotation, default, "", "", "Config", HERE, **more)


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        ("int", "12", 12),
        ("int", "-1", -1),
        ("float", "1e-5", 1e-5),
        ("float", "3", 3.0),
        ("int | None", "none", None),
        ("float | None", "null", None),
        ("bool", "true", True),
        ("bool | None", "False", False),
        ("bool", "0", False),
        ("str", "true", "true"),
        ("str | None", "None", None),
        ("str", "none", "none"),
        ("int | str | None", "8", 8),
        ("int | str | None", "auto", "auto"),
        ("str | bool", "no", False),
        ("dict[str, Any] | str | None", '{"a": 1}', {"a": 1}),
        ("dict | str | None", "a: 1", {"a": 1}),
        ("dict | str | None", "config.json", "config.json"),
        ("list[str] | None", "a,b", ["a", "b"]),
        ("DType", "bfloat16", "bfloat16"),
        ("DType | None", "none", None),
        ("Literal['x', 'y']", "y", "y"),
        ("str | None | Literal[False]", "false", False),
    ],
)
def test_text_becomes_the_annotated_type(annotation, text, expected):
    """What the shell gives is a string; the annotation says what it means."""
    value = convert(option(annotation), text, "--option")
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "words", "expected"),
    [
        ("list[str]", ["a", "b"], ["a", "b"]),
        ("list[str]", ["a,b", "c"], ["a", "b", "c"]),
        ("list[float]", ["0.5,1"], [0.5, 1.0]),
        ("list[str]", ['["a", "b,c"]'], ["a", "b,c"]),
        ("list[str]", ["[qv]_proj"], ["[qv]_proj"]),
        ("None | str | list[str]", ["wandb"], "wandb"),
        ("None | str | list[str]", ["wandb", "mlflow"], ["wandb", "mlflow"]),
        ("list[DatasetConfig]", ["a.jsonl", "b.jsonl"], [{"path": "a.jsonl"}, {"path": "b.jsonl"}]),
        ("list[DatasetConfig]", ["[{path: a, fraction: 1}]"], [{"path": "a", "fraction": 1.0}]),
        ("int", ["3"], 3),
    ],
)
def test_words_become_lists(annotation, words, expected):
    """Spaces, commas and YAML all separate; where one value is enough, one word stays one value."""
    assert convert(option(annotation), words, "--option") == expected


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        ("float", 3, 3.0),
        ("float", "1e-5", 1e-5),  # YAML takes 1e-5 for text
        ("str", 7, "7"),
        ("bool", True, True),
        ("dict | str | None", {"a": 1}, {"a": 1}),
        ("list[str] | None", ["a"], ["a"]),
        ("list[str]", "a", ["a"]),
        ("int | None", None, None),
        ("list[DatasetConfig]", [{"path": "a", "columns": ["x"]}], [{"path": "a", "columns": ["x"]}]),
    ],
)
def test_yaml_values_keep_or_gain_their_type(annotation, value, expected):
    """YAML's own types are taken where they fit."""
    assert convert(option(annotation), value, "config file: `option`") == expected


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        ("int", "abc", "--option must be a whole number, but got abc."),
        ("int", "1.5", "must be a whole number, but got 1.5"),
        ("int", 1.5, "must be a whole number, but got 1.5"),
        ("int | None", "x", "must be a whole number or none"),
        ("float", "nan", "must be a number, but got nan"),
        ("float", True, "must be a number, but got True"),
        ("bool", "maybe", "must be true or false, but got maybe"),
        ("bool", 2, "must be true or false, but got 2"),
        ("str", None, "must be text, but got nothing"),
        ("str", {"a": 1}, "must be text, but got {'a': 1}"),
        ("DType", "bfloat6", "one of auto, bfloat16, float16, float32, but got bfloat6. Did you mean bfloat16?"),
        ("ParallelismConfig | None", "x", "must be none"),
        ("int", ["1", "2"], "--option takes one value, but got 2: 1 2"),
        ("list[float]", ["a"], "--option, item 1 must be a number, but got a"),
        ("list[DatasetConfig]", [{"pth": "a"}], "--option, item 1: unknown option `pth`. Did you mean path?"),
        ("list[DatasetConfig]", [{"path": "a", "fraction": "b"}], "item 1: `fraction` must be a number"),
    ],
)
def test_wrong_values_are_refused_with_what_is_accepted(annotation, value, message):
    """The option, what it accepts, what it got, and the nearest choice."""
    with pytest.raises(UsageError) as caught:
        convert(option(annotation), value, "--option")
    assert message in str(caught.value)


def test_mapping_only_options_refuse_other_text():
    """Keyword arguments cannot be a path, so text that is no mapping is a mistake."""
    kwargs = option("dict[str, Any] | str | None")._replace(name="model_init_kwargs")
    with pytest.raises(UsageError, match=r"must be a mapping such as .* or none, but got dtype"):
        convert(kwargs, "dtype", "--model_init_kwargs")


def test_none_is_text_where_it_is_the_default():
    """`--report_to none` names the value of that name."""
    assert convert(option("None | str | list[str]", default="none"), ["none"], "--report_to") == "none"


def test_choices_of_metadata_are_checked():
    """transformers writes some choices beside the annotation."""
    with pytest.raises(UsageError, match=r"one of fork, spawn or none, but got fork2\. Did you mean fork\?"):
        convert(option("str | None", choices=("fork", "spawn")), "fork2", "--option")


def test_names_are_checked_with_dashes_or_underscores():
    """A key may be written either way, but not both."""
    options = [option("int")._replace(name="max_length")]
    assert convert_mapping(options, {"max-length": 3}, "config file") == {"max_length": 3}
    with pytest.raises(UsageError, match="`max_length` is given twice, as `max-length` too"):
        convert_mapping(options, {"max_length": 3, "max-length": 3}, "config file")
    with pytest.raises(UsageError, match=r"config file: unknown option `max_len`\. Did you mean max_length\?"):
        convert_mapping(options, {"max_len": 3}, "config file")


def test_every_option_of_a_command_has_a_kind():
    """No annotation of the installed transformers is beyond us, but the one that only Python can give."""
    from sternpost.cli.sft import COMMAND
    from sternpost.cli.training import all_options

    simple = {"int", "float", "str", "bool", "dict", "list"}
    assert [one.name for one in all_options(COMMAND) if not kind_of(one).types & simple] == ["parallelism_config"]


def test_choices_come_from_the_contract():
    """What the room promises is what the command accepts."""
    from sternpost.cli.sft import COMMAND
    from sternpost.cli.training import all_options
    from sternpost.sft import contract

    kinds = {one.name: kind_of(one).choices for one in all_options(COMMAND)}
    assert kinds["loss_type"] == contract.LossType.__args__
    assert kinds["packing_strategy"] == contract.PackingStrategy.__args__
    assert "cosine" in kinds["lr_scheduler_type"]
