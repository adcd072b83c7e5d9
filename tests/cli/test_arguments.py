"""Command line and config file together: who wins, what is refused, and what goes to the launcher."""

from pathlib import Path

import pytest

from sternpost.cli.arguments import Arguments, parse_arguments
from sternpost.cli.errors import UsageError
from sternpost.cli.launch import CONFIGS, complete, config_file, launch_flags, precision_options
from sternpost.cli.sft import COMMAND
from sternpost.cli.training import all_options


def parse(*argv: str) -> Arguments:
    return parse_arguments(list(argv), all_options(COMMAND))


@pytest.fixture
def config(tmp_path: Path):
    """Write a config file and return its path."""

    def write(text: str) -> str:
        (tmp_path / "run.yaml").write_text(text)
        return str(tmp_path / "run.yaml")

    return write


def test_command_line_wins_over_the_config_file(config):
    """A key of the file holds unless the command line says otherwise, wherever `--config` stands."""
    path = config("learning_rate: 1e-3\nmax_length: 64\npacking: true\n")
    for argv in (
        ["--config", path, "--max-length", "32", "--no-packing"],
        ["--max_length=32", "--no_packing", f"--config={path}"],
    ):
        assert parse(*argv).values == {"learning_rate": 1e-3, "max_length": 32, "packing": False}


def test_short_names_and_dashes(config):
    """`--model` and `--dataset`, also as keys; dashes are underscores."""
    expected = {"model_name_or_path": "m", "dataset_name": "d", "learning_rate": 0.1}
    assert parse("--model", "m", "--dataset", "d", "--learning-rate", "0.1").values == expected
    assert parse("--config", config("model: m\ndataset: d\nlearning-rate: 0.1")).values == expected


def test_booleans_need_no_value():
    """A flag alone is true; `--no-` and an explicit value are understood; lists take several words."""
    values = parse(
        "--packing", "--bf16", "false", "--no-dataloader-pin-memory", "--label_names", "a", "b", "--fp16=true"
    ).values
    assert values == {
        "packing": True,
        "bf16": False,
        "dataloader_pin_memory": False,
        "label_names": ["a", "b"],
        "fp16": True,
    }


def test_resume_may_stand_without_a_path():
    """`--resume_from_checkpoint` means the newest one, with a path that one, in the file also `true`."""
    assert parse("--resume_from_checkpoint").values == {"resume_from_checkpoint": True}
    assert parse("--resume_from_checkpoint", "true").values == {"resume_from_checkpoint": True}
    assert parse("--resume_from_checkpoint", "run/checkpoint-3").values == {
        "resume_from_checkpoint": "run/checkpoint-3"
    }


def test_debug_alone_is_ours_and_with_a_value_the_trainers():
    """`--debug` shows tracebacks; `--debug underflow_overflow` is the option of transformers."""
    assert (parse("--debug").debug, parse("--debug").values) == (True, {})
    assert parse("--debug", "underflow_overflow").values == {"debug": "underflow_overflow"}


def test_env_block_and_mixture(config):
    """`env:` becomes text for the environment; `datasets:` is a list of data sets with checked keys."""
    arguments = parse(
        "--config",
        config("env: {A: 1, B: yes please}\ndatasets:\n  - path: a.jsonl\n    split: train[:9]\n  - b.csv\n"),
    )
    assert arguments.env == {"A": "1", "B": "yes please"}
    assert arguments.values == {"datasets": [{"path": "a.jsonl", "split": "train[:9]"}, {"path": "b.csv"}]}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--learning_rat", "1"], "unknown option --learning_rat. Did you mean --learning_rate?"),
        (["--modle", "x"], "unknown option --modle. Did you mean --model?"),
        (["--num_proceses", "2"], "unknown option --num_proceses. Did you mean --num_processes?"),
        (["-x"], "unknown option -x."),
        (["--no-learning_rate"], "unknown option --no-learning_rate."),
        (["--max_length"], "--max_length needs a value."),
        (["--max_length", "1", "2"], "--max_length takes one value, but got 2: 1 2"),
        (["--packing", "perhaps"], "--packing must be true or false, but got perhaps."),
        (["--no-packing", "true"], "--no-packing takes no value, but got true."),
        (["run.yaml"], "unexpected argument run.yaml: options begin with --. Did you mean --config run.yaml?"),
        (["--loss_type", "dtf"], "--loss_type must be one of nll, dft, but got dtf. Did you mean dft?"),
        (["--config"], "--config needs one value, but got nothing."),
        (["--config", "no.yaml"], "--config no.yaml cannot be read"),
        (["--num_processes"], "--num_processes needs one value"),
        (["--multi_gpu", "yes"], "--multi_gpu takes no value, but got yes."),
        (["--mixed_precision", "bf17"], "--mixed_precision must be one of no, fp16, bf16, fp8, but got bf17."),
        (
            ["--accelerate_config", "fsdp3"],
            "one of fsdp1, fsdp2, multi_gpu, single_gpu, zero1, zero2, zero3, but got fsdp3",
        ),
    ],
)
def test_mistakes_on_the_command_line(argv, message):
    """Each is named with the nearest thing that would have been right."""
    with pytest.raises(UsageError) as caught:
        parse(*argv)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rte: 1", "config file: unknown option `learning_rte`. Did you mean learning_rate?"),
        ("learning_rate: fast", "config file: `learning_rate` must be a number, but got fast."),
        ("learning_rate: 1\nlearning_rate: 2", "line 2: `learning_rate` is given twice."),
        ("learning_rate: [", "is not YAML"),
        ("- a\n- b", "must hold `option: value` lines, but holds list"),
        ("datasets: [{path: a, spilt: b}]", "item 1: unknown option `spilt`. Did you mean split?"),
        ("env: 3", "`env` must be a mapping of variables, but got 3."),
        ("env: {A: [1]}", "`env.A` must be text or a number"),
        ("num_processes: two", "config file: `num_processes` must be a whole number, but got two."),
    ],
)
def test_mistakes_in_the_config_file(config, text, message):
    """The key is named, and the line where YAML knows it."""
    with pytest.raises(UsageError) as caught:
        parse("--config", config(text))
    assert message in str(caught.value)


def test_unreadable_config_file(tmp_path):
    """A file that is no text is an error, not a traceback."""
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        parse("--config", str(tmp_path / "run.yaml"))


# ---- Launching


def test_launch_flags_are_split_off(config):
    """What concerns the launcher goes there, from either place; the workers get everything else."""
    path = config("num_processes: 4\nmain_process_port: 0\nmax_steps: 3\n")
    arguments = parse("--config", path, "--num_processes", "2", "--packing", "--cpu", "--model=m")
    assert arguments.launch == ["--num_processes", "2", "--main_process_port", "0", "--cpu"]
    assert arguments.rest == ["--config", path, "--packing", "--model=m"]
    assert arguments.values == {"max_steps": 3, "packing": True, "model_name_or_path": "m"}


@pytest.mark.parametrize(
    ("launch", "devices", "added"),
    [
        ([], 4, ["--num_processes", "4"]),
        ([], 0, ["--num_processes", "1"]),
        (["--num_processes", "2"], 4, []),
        (["--num_processes", "1"], 4, ["--gpu_ids", "0"]),
        (["--num_processes", "1", "--cpu"], 4, []),
        (["--config_file", config_file("multi_gpu")], 4, ["--num_processes", "4"]),
        (["--config_file", config_file("single_gpu")], 1, []),
    ],
)
def test_launch_flags_are_completed_by_the_devices(launch, devices, added):
    """A process for each device unless flags or configuration say how many; a single one sees a single device."""
    assert complete(launch, devices) == launch + added


def test_several_cpu_processes_need_no_mpi():
    """accelerate would start one; so the flag becomes what starts several, on a free port."""
    expected = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    assert complete(["--cpu", "--num_processes", "2"], 0) == expected


def test_no_launch_flags_no_launcher():
    """Options that both know belong to the trainer."""
    assert parse("--gradient_accumulation_steps", "2").launch == []


def test_flags_are_those_of_the_installed_accelerate():
    """Read from its source, they agree with its parser: names, and which of them take a value."""
    from accelerate.commands.launch import launch_command_parser

    real = {
        string[2:]: action.nargs != 0
        for action in launch_command_parser()._actions
        for string in action.option_strings
        if string.startswith("--") and "-" not in string[2:]
    }
    for name in ("help", "module", "no_python"):
        real.pop(name, None)
    ours = {name: flag.takes_value for name, flag in launch_flags().items() if name != "accelerate_config"}
    assert ours == real


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGS.glob("*.yaml")))
def test_bundled_configurations_are_accepted_by_accelerate(name):
    """Each name stands for a file that accelerate reads."""
    from accelerate.commands.config.config_args import load_config_from_file

    flag, path = parse("--accelerate_config", name).launch
    assert flag == "--config_file"
    assert load_config_from_file(path).compute_environment.value == "LOCAL_MACHINE"


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("bf16", ["--bf16=true"]), ("no", ["--bf16=false"]), ("fp16", ["--bf16=false", "--fp16=true"]), ("fp8", [])],
)
def test_mixed_precision_holds_against_the_defaults(precision, expected):
    """The launcher's flag becomes the trainer's options, else their defaults would override it."""
    assert precision_options(["--mixed_precision", precision], {}) == expected


def test_mixed_precision_that_contradicts_is_refused():
    """Two ways to say it must say the same."""
    assert precision_options(["--mixed_precision", "bf16"], {"bf16": True}) == ["--bf16=true"]
    with pytest.raises(UsageError, match="--mixed_precision bf16 contradicts `bf16`, which is False"):
        precision_options(["--mixed_precision", "bf16"], {"bf16": False})
