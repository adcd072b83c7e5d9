"""`RewardTrainer` as it is configured, constructed, logged, subclassed and saved."""

import inspect
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

from sternpost import RewardConfig, RewardTrainer
from sternpost.reward import contract

OWN = sorted(inspect.get_annotations(RewardConfig))
"""The options that Sternpost adds or whose default it changes."""
TRAIN = {"grad_norm", "learning_rate", "epoch", "step"}
"""What transformers adds to a training line besides the loss; `step` in the history only."""
EVAL = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "epoch", "step"}
"""What transformers adds to an evaluation line."""

calls = Counter()


class Overriding(RewardTrainer):
    """Overrides every hook with the parameters that its documentation gives, and counts the calls."""

    def prepare_dataset(self, dataset, processing_class, args, dataset_name):
        calls["prepare_dataset"] += 1
        return super().prepare_dataset(dataset, processing_class, args, dataset_name)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        calls["compute_loss"] += 1
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch=num_items_in_batch)

    def training_step(self, model, inputs, num_items_in_batch=None):
        calls["training_step"] += 1
        return super().training_step(model, inputs, num_items_in_batch)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        calls["prediction_step"] += 1
        return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)

    def evaluation_loop(
        self, dataloader, description, prediction_loss_only=None, ignore_keys=None, metric_key_prefix="eval"
    ):
        calls["evaluation_loop"] += 1
        return super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)

    def log(self, logs, start_time=None):
        calls["log"] += 1
        super().log(logs, start_time)


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def names_in(directory):
    return {path.name for path in Path(directory).iterdir()}


def test_defaults_on_a_cpu(golden, tmp_path):
    """R7. On a CPU every option of our own, and every inherited one that we override, is as in the golden file."""
    resolved = RewardConfig(output_dir=str(tmp_path), use_cpu=True)
    golden("reward_config", {name: getattr(resolved, name) for name in OWN if name != "bf16"})


def test_own_options_are_keyword_only(tmp_path):
    """R8. Options of our own are passed by keyword; the first positional one is `output_dir`; an unknown one is a
    TypeError that names it."""
    parameters = inspect.signature(RewardConfig).parameters
    assert {parameters[name].kind for name in OWN} == {inspect.Parameter.KEYWORD_ONLY}
    assert next(iter(parameters)) == "output_dir"
    with pytest.raises(TypeError, match="max_lenght"):
        RewardConfig(output_dir=str(tmp_path), max_lenght=5)


def test_names_and_meaning_of_metrics(make_reward_trainer, pairs):
    """R9. Training and evaluation lines have the metrics of the contract and transformers' own, by exactly these names;
    rewards are ordered, accuracies are fractions."""
    trainer = make_reward_trainer(pairs, pairs[:5], max_steps=2, eval_strategy="steps", eval_steps=1)
    trainer.train()
    history = trainer.state.log_history
    train = [line for line in history if "loss" in line]
    evaluation = [line for line in history if "eval_loss" in line]
    assert [set(line) for line in train] == [set(contract.METRICS) | TRAIN] * 2
    assert [set(line) for line in evaluation] == [{f"eval_{name}" for name in contract.METRICS} | EVAL] * 2
    for line in train:
        assert line["min_reward"] <= line["mean_reward"] <= line["max_reward"]
        assert 0 <= line["accuracy"] <= 1


def test_order_of_arguments(golden):
    """R10. The arguments of `RewardTrainer` come in the order of the golden file, and so may be passed by position."""
    parameters = inspect.signature(RewardTrainer).parameters.values()
    golden(
        "reward_trainer_arguments",
        {
            "by position": [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD],
            "by keyword only": [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY],
        },
    )


def test_bases():
    """R11. `RewardTrainer` is a `transformers.Trainer` and `RewardConfig` a `transformers.TrainingArguments`."""
    assert issubclass(RewardTrainer, Trainer)
    assert issubclass(RewardConfig, TrainingArguments)


def test_hooks_are_called(make_reward_trainer, pairs):
    """R12. A subclass overrides the hooks of the contract with their documented parameters, and each is called."""
    assert set(contract.HOOKS) == {name for name in vars(Overriding) if not name.startswith("__")}
    calls.clear()
    make_reward_trainer(
        pairs, pairs[:3], trainer_class=Overriding, max_steps=2, eval_strategy="steps", eval_steps=2
    ).train()
    assert set(calls) == set(contract.HOOKS)


def test_files_of_a_checkpoint(make_reward_trainer, pairs, tmp_path):
    """R13. A checkpoint lies in `checkpoint-<step>` and consists of the files of the contract, no fewer and no more."""
    make_reward_trainer(pairs, max_steps=1, save_strategy="steps", save_steps=1).train()
    assert names_in(tmp_path / "run" / "checkpoint-1") == set(contract.CHECKPOINT)


def test_saved_model_is_a_plain_one(make_reward_trainer, pairs, tmp_path):
    """R14. What `save_model` writes is loaded by transformers alone as a model with one label."""
    trainer = make_reward_trainer(pairs, learning_rate=1e-2)
    trainer.train()
    trainer.save_model()
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    assert loaded.config.num_labels == 1
    torch.testing.assert_close(weights(loaded), weights(trainer.model), rtol=0, atol=0)


def test_adapter_and_head_are_trained_and_saved(make_reward_trainer, pairs, tmp_path):
    """R15. With `peft_config` only the adapter and the head are trained, and both are saved."""
    peft = pytest.importorskip("peft")
    trainer = make_reward_trainer(pairs, peft_config=peft.LoraConfig(target_modules="all-linear"), learning_rate=1e-2)
    before = weights(trainer.model)
    trainer.train()
    moved = {name for name, weight in weights(trainer.model).items() if not torch.equal(weight, before[name])}
    assert moved
    assert all("lora" in name or "score" in name for name in moved)
    assert any("score" in name for name in moved)
    trainer.save_model()
    assert "model.safetensors" not in names_in(tmp_path / "run")
    from safetensors.torch import load_file

    assert any("score" in name for name in load_file(tmp_path / "run" / "adapter_model.safetensors"))


def test_resuming_goes_on(make_reward_trainer, pairs, tmp_path):
    """R16. A resumed run has the lines of one that was never interrupted."""
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "learning_rate": 1e-3}
    whole = make_reward_trainer(pairs, **options)
    whole.train()
    (tmp_path / "run" / "checkpoint-4").rename(tmp_path / "put aside")
    resumed = make_reward_trainer(pairs, **options)
    resumed.train(resume_from_checkpoint=True)
    lines = [[line for line in each.state.log_history if "loss" in line] for each in (resumed, whole)]
    assert lines[0] == lines[1]


def test_help_lists_every_option(run_command, assert_light):
    """R17. `sternpost reward --help` lists every option, and loads neither torch nor transformers."""
    done = run_command("reward", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert_light(done.stderr)
    flags = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  --")}
    assert {f"--{name}" for name in OWN} <= flags
