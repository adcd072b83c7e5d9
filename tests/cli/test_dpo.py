"""What is particular to `sternpost dpo`: lists of losses, adapters and stored references, images, streams, resuming."""

import json

import pytest

from sternpost.cli import main
from sternpost.cli.arguments import parse_arguments
from sternpost.cli.dpo import COMMAND
from sternpost.cli.errors import UsageError
from sternpost.cli.training import all_options, help_page, own_options

BASE = (
    "dpo",
    "--model",
    "demo",
    "--per_device_train_batch_size",
    "2",
    "--save_strategy",
    "no",
    "--use_cpu",
    "--no_bf16",
)


def dpo(tmp_path, *argv: str, dataset: str = "demo:preference_messages", steps: int = 1) -> int:
    argv = ("--dataset", dataset, "--output_dir", str(tmp_path / "out"), "--max_steps", str(steps), *argv)
    return main([*BASE, *argv, "--logging_steps", "1"])


# ---- Lists of losses


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--loss_type", "ipo"], ["ipo"]),
        (["--loss_type", "sigmoid", "sft"], ["sigmoid", "sft"]),
        (["--loss_type", "sigmoid,sft"], ["sigmoid", "sft"]),
        (["--loss_type=sigmoid", "--beta", "0.3"], ["sigmoid"]),
        (["--loss-type", '["sigmoid", "bco_pair"]'], ["sigmoid", "bco_pair"]),
    ],
)
def test_losses_by_flag(words, expected):
    """One, several, between commas or as JSON: always a list of names that are accepted."""
    assert parse_arguments(words, all_options(COMMAND)).values["loss_type"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ipo", ["ipo"]), ("[sigmoid, sft]", ["sigmoid", "sft"]), ("sigmoid, sft", ["sigmoid", "sft"])],
)
def test_losses_by_yaml(tmp_path, text, expected):
    """A name, a list, or names between commas; the weights beside them are numbers."""
    config = tmp_path / "run.yaml"
    config.write_text(f"loss_type: {text}\nloss_weights: [1, 0.5]\n")
    values = parse_arguments(["--config", str(config)], all_options(COMMAND)).values
    assert values == {"loss_type": expected, "loss_weights": [1.0, 0.5]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--loss_type", "sigmod"], "--loss_type, item 1 must be one of sigmoid, hinge, "),
        (["--loss_type", "sigmoid", "stf"], "--loss_type, item 2 must be one of sigmoid, hinge, "),
        (["--loss_type", "sigmod"], "but got sigmod. Did you mean sigmoid?"),
        (["--loss_type"], "--loss_type needs a value."),
        (["--loss_weights", "much"], "--loss_weights, item 1 must be a number, but got much."),
        (["--f_divergence_type", "kl"], "--f_divergence_type must be one of reverse_kl, forward_kl, js_divergence"),
    ],
)
def test_wrong_losses(words, message):
    """The item that is wrong, what is accepted, and the nearest name."""
    with pytest.raises(UsageError) as error:
        parse_arguments(words, all_options(COMMAND))
    assert message in str(error.value)


def test_options_that_exclude_each_other_are_usage_errors(tmp_path, capsys):
    """What only the config class can know is wrong usage too, in one message."""
    assert dpo(tmp_path, "--sync_ref_model", "--precompute_ref_log_probs") == 2
    error = capsys.readouterr().err
    assert error.startswith("sternpost dpo: error: `sync_ref_model=True` changes the reference while training")
    assert "Traceback" not in error


# ---- Help


def test_help_is_complete():
    """Every option is documented and in a group; losses are listed with the one that is taken by default."""
    assert [option.name for option in own_options(COMMAND) if not option.doc or not option.group] == []
    page = help_page(COMMAND, full=False)
    for option in all_options(COMMAND):
        assert f"--{option.name}" in page, option.name
    assert "--loss_type {sigmoid,hinge,ipo,exo_pair,nca_pair,robust,bco_pair," in page
    assert "sft,sigmoid_norm} ... (default: sigmoid)" in page


def test_options_are_those_of_the_class():
    """What is read from the source is what the class has, and its defaults."""
    import dataclasses

    from sternpost import DPOConfig
    from sternpost.cli.fields import Unresolved

    fields = {field.name: field for field in dataclasses.fields(DPOConfig)}
    own = [option for option in all_options(COMMAND) if option.owner in ("DPOConfig", "TrainingArguments")]
    assert {option.name for option in own} == set(fields)
    for option in own:
        if not isinstance(option.default, Unresolved) and option.default != ():
            field = fields[option.name]
            made = field.default_factory() if field.default is dataclasses.MISSING else field.default
            assert option.default == (tuple(made) if isinstance(made, list) else made), option.name


# ---- Training


@pytest.mark.parametrize(
    "name", ["preference", "preference_implicit", "preference_messages", "preference_implicit_messages"]
)
def test_rows_of_the_demo(tmp_path, capsys, name):
    """Text and conversations, prompts explicit and implicit, from nothing but a name; the model is saved."""
    assert dpo(tmp_path, dataset=f"demo:{name}") == 0
    line, *_, last = capsys.readouterr().out.splitlines()
    assert line.startswith("step=1/1 loss=0.6931 ")
    assert "rewards/accuracies=" in line
    assert last == f"Saved the model to {tmp_path}/out."
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_adapter_and_stored_reference(tmp_path, capsys):
    """Options of model, data and method work together: an adapter, held-out pairs, a reference that is stored."""
    argv = [
        "--dataset_train_split",
        "train[:20]",
        "--use_peft",
        "--lora_r",
        "2",
        "--precompute_ref_log_probs",
        "--test_split_size",
        "6",
        "--beta",
        "0.3",
    ]
    argv += [
        "--eval_strategy",
        "steps",
        "--eval_steps",
        "1",
        "--loss_type",
        "sigmoid",
        "sft",
        "--loss_weights",
        "1",
        "0.2",
    ]
    assert dpo(tmp_path, *argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("step=1/1 eval_loss=") for line in lines)
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["r"] == 2
    assert len(list((tmp_path / "out" / "reference").iterdir())) == 2
    import torch

    saved = torch.load(tmp_path / "out" / "training_args.bin", weights_only=False)
    assert (saved.beta, saved.loss_type, saved.loss_weights) == (0.3, ["sigmoid", "sft"], [1.0, 0.2])


def test_streamed_pairs_train(tmp_path, capsys):
    """`--dataset_streaming` reads the same pairs lazily."""
    assert dpo(tmp_path, "--dataset_streaming", steps=2) == 0
    assert "step=2/2 loss=" in capsys.readouterr().out


def test_broken_rows_are_one_message(tmp_path, capsys):
    """A row that is wrong ends the run with its number, not with a traceback."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": "a", "chosen": null, "rejected": "c"}\n'
    )
    assert dpo(tmp_path, dataset=str(rows)) == 1
    error = capsys.readouterr().err
    assert "sternpost dpo: error: train row 1, column `chosen`: expected text, got None." in error
    assert "Traceback" not in error


def test_resumed_run_goes_on(tmp_path, capsys):
    """`--resume_from_checkpoint` alone takes the newest whole checkpoint, and the reference stays the first policy."""
    argv = ["--save_strategy", "steps", "--save_steps", "1", "--learning_rate", "1e-3"]
    assert dpo(tmp_path, *argv, steps=3) == 0
    whole = capsys.readouterr().out.splitlines()
    (tmp_path / "out" / "checkpoint-3" / "trainer_state.json").unlink()
    assert dpo(tmp_path, *argv, "--resume_from_checkpoint", steps=3) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0].split(" steps_per_second")[0] == whole[2].split(" steps_per_second")[0]


def test_rows_with_images_get_the_processor(tmp_path):
    """A vision-language model is trained from saved pairs with images by nothing but its path."""
    vision = pytest.importorskip("tests.dpo.test_vision_language", reason="needs Pillow")
    processor = vision.vision.processor()
    vision.model(0).save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    vision.rows().save_to_disk(tmp_path / "rows")
    assert dpo(tmp_path, "--model", str(tmp_path / "model"), dataset=str(tmp_path / "rows")) == 0
    saved = {path.name for path in (tmp_path / "out").iterdir()}
    assert saved & {"preprocessor_config.json", "processor_config.json"}
