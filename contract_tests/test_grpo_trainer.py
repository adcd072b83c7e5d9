"""`GRPOTrainer` as it is constructed, subclassed, extended, saved and gone on with."""

import inspect
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from sternpost import GRPOConfig, GRPOTrainer
from sternpost.grpo import contract

calls = Counter()


class Overriding(GRPOTrainer):
    """Overrides every hook with the parameters that its documentation gives, and counts the calls."""

    def roll_out(self, rows, parts, mode):
        calls["roll_out"] += 1
        return super().roll_out(rows, parts, mode)

    def generate(self, rows, mode, attempt=0):
        calls["generate"] += 1
        return super().generate(rows, mode, attempt)

    def resample(self, made, rewards, group):
        calls["resample"] += 1
        return super().resample(made, rewards, group)

    def sampling(self, mode, attempt=0):
        calls["sampling"] += 1
        return super().sampling(mode, attempt)

    def score(self, model, rollout):
        calls["score"] += 1
        return super().score(model, rollout)

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


# ---- Construction


def test_order_of_arguments(golden):
    """G24. The arguments of `GRPOTrainer` come in the order of the golden file, and so may be passed by position."""
    parameters = inspect.signature(GRPOTrainer).parameters.values()
    golden(
        "grpo_trainer_arguments",
        {
            "by position": [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD],
            "by keyword only": [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY],
        },
    )


def test_arguments_by_position(tmp_path, model_path, prompts):
    """G24. Model, rewards, options, both data sets and tokenizer are taken by position, as objects."""
    rows = Dataset.from_list(prompts)
    args = GRPOConfig(str(tmp_path), use_cpu=True, report_to="none")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(model_path), AutoTokenizer.from_pretrained(model_path)
    trainer = GRPOTrainer(model, lambda completions, **kwargs: [0.0] * len(completions), args, rows, rows, tokenizer)
    assert trainer.model is model
    assert trainer.args is args
    assert trainer.processing_class is tokenizer
    assert (trainer.train_dataset, trainer.eval_dataset) == (rows, rows)


def test_bases():
    """G25. `GRPOTrainer` is a `transformers.Trainer` and `GRPOConfig` a `transformers.TrainingArguments`."""
    assert issubclass(GRPOTrainer, Trainer)
    assert issubclass(GRPOConfig, TrainingArguments)


# ---- Hooks and seams


def test_hooks_are_called(make_grpo_trainer, prompts):
    """G26. A subclass overrides the hooks of the contract with their documented parameters, and each is called."""
    assert set(contract.HOOKS) == {name for name in vars(Overriding) if not name.startswith("__")}
    calls.clear()
    options = {"max_steps": 2, "eval_strategy": "steps", "eval_steps": 2}
    make_grpo_trainer(prompts, prompts[:2], trainer_class=Overriding, **options).train()
    assert calls == {
        "roll_out": 3, "generate": 3, "resample": 2, "sampling": 3, "score": 3, "compute_loss": 3,
        "training_step": 2, "prediction_step": 1, "evaluation_loop": 1, "log": 4,
    }  # fmt: skip


def test_scores_are_per_completion(make_grpo_trainer, prompts):
    """G26. `score` returns log-probability and entropy of each token of each completion, as wide as the mask."""

    class Checking(GRPOTrainer):
        def score(self, model, rollout):
            logps, entropy, rest = super().score(model, rollout)
            assert logps.shape == entropy.shape == rollout.mask.shape
            assert (logps <= 0).all()
            return logps, entropy, rest

    assert math.isfinite(make_grpo_trainer(prompts, trainer_class=Checking).train().training_loss)


def test_rollout_func_makes_completions(make_grpo_trainer, prompts):
    """G27. `rollout_func(prompts, trainer)` takes the place of the sampler; its `env_mask` says what is learned, and
    what else it returns is given to rewards."""
    seen = []

    def rolled(asked, trainer):
        ids = [trainer.processing_class(prompt).input_ids for prompt in asked]
        return {
            "prompt_ids": ids, "completion_ids": [[7, 8, 9]] * len(asked), "logprobs": None,
            "env_mask": [[1, 0, 1]] * len(asked), "luck": list(range(len(asked))),
        }  # fmt: skip

    def reward(completion_ids, luck, **kwargs):
        seen.append(completion_ids)
        return [float(each) for each in luck]

    class Looking(GRPOTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            assert inputs.rollout.mask.tolist() == [[1, 0, 1]] * 4
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch=num_items_in_batch)

    trainer = make_grpo_trainer(prompts, reward_funcs=reward, rollout_func=rolled, trainer_class=Looking)
    trainer.train()
    assert seen == [[[7, 8, 9]] * 4]
    assert trainer.state.log_history[0]["reward"] == 1.5


def test_environments_judge(make_grpo_trainer):
    """G28. An environment is reset with the columns of a row; its `get_reward()` is a reward by the name of its class,
    and the objects are given to rewards as `environments`."""

    class Room:
        def reset(self, target, **row):
            self.target = target
            return f" Find {target}."

        def look(self) -> str:
            """Looks around."""
            return "nothing"

        def get_reward(self):
            return float(self.target)

    def seen(environments, **kwargs):
        return [float(room.target) for room in environments]

    rows = [{"prompt": [{"role": "user", "content": "Look."}], "target": at} for at in (1, 2)]
    trainer = make_grpo_trainer(rows, reward_funcs=seen, environment_factory=Room, max_completion_length=12)
    trainer.train()
    line = trainer.state.log_history[0]
    assert line["rewards/Room/mean"] == line["rewards/seen/mean"] == 1.5
    assert make_grpo_trainer(rows, reward_funcs=None, environment_factory=Room).train().global_step == 1


# ---- What is trained


def test_reference(make_grpo_trainer, prompts):
    """G29. With `beta=0` there is no reference; else it is a frozen copy of the policy, so that `kl` begins at 0; with
    `sync_ref_model` it follows."""
    assert make_grpo_trainer(prompts).ref_model is None
    trainer = make_grpo_trainer(prompts, beta=0.1, learning_rate=1e-2, max_steps=2)
    start = weights(trainer.model)
    trainer.train()
    assert trainer.state.log_history[0]["kl"] == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(weights(trainer.ref_model), start, rtol=0, atol=0)
    assert any(not torch.equal(start[name], weight) for name, weight in weights(trainer.model).items())
    options = {"sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 1.0, "learning_rate": 1e-2}
    trainer = make_grpo_trainer(prompts, beta=0.1, **options)
    trainer.train()
    torch.testing.assert_close(weights(trainer.ref_model), weights(trainer.model), rtol=1e-6, atol=1e-7)


def test_adapters(make_grpo_trainer, prompts):
    """G30. With `peft_config` only the adapter is trained and saved, and the model without it is the reference."""
    peft = pytest.importorskip("peft")
    adapter = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")
    trainer = make_grpo_trainer(prompts, peft_config=adapter, beta=0.1)
    assert all("lora_" in name for name, weight in trainer.model.named_parameters() if weight.requires_grad)
    assert trainer.ref_model is None
    trainer.train()
    assert trainer.state.log_history[0]["kl"] == pytest.approx(0, abs=1e-6)
    trainer.save_model()
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names_in(trainer.args.output_dir)
    assert "model.safetensors" not in names_in(trainer.args.output_dir)


# ---- Files


def test_files_of_a_checkpoint(make_grpo_trainer, prompts, tmp_path):
    """G31. A checkpoint lies in `checkpoint-<step>` and consists of the files of the contract, no fewer and no more."""
    make_grpo_trainer(prompts, max_steps=2, save_strategy="steps", save_steps=1).train()
    assert names_in(tmp_path / "run") == {"checkpoint-1", "checkpoint-2"}
    for step in (1, 2):
        assert names_in(tmp_path / "run" / f"checkpoint-{step}") == set(contract.CHECKPOINT)


def test_saved_model_is_a_plain_one(make_grpo_trainer, prompts, tmp_path):
    """G32. What `save_model` writes is loaded by transformers alone, model and tokenizer."""
    trainer = make_grpo_trainer(prompts, learning_rate=1e-2)
    trainer.train()
    trainer.save_model()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    torch.testing.assert_close(weights(loaded), weights(trainer.model), rtol=0, atol=0)
    assert AutoTokenizer.from_pretrained(tmp_path / "run").chat_template == trainer.processing_class.chat_template


@pytest.mark.parametrize(
    "options", [{}, {"steps_per_generation": 3, "num_iterations": 2, "beta": 0.1, "replay_groups": 2}]
)
def test_resuming_goes_on(make_grpo_trainer, prompts, tmp_path, options):
    """G33. A resumed run has the lines of one that was never interrupted, also from the middle of a generation."""
    options = options | {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "learning_rate": 1e-3}
    whole = make_grpo_trainer(prompts, **options)
    whole.train()
    (tmp_path / "run" / "checkpoint-4").rename(tmp_path / "put aside")
    resumed = make_grpo_trainer(prompts, **options)
    resumed.train(resume_from_checkpoint=True)
    lines = [[line for line in each.state.log_history if "loss" in line] for each in (resumed, whole)]
    assert [line["step"] for line in lines[0]] == [1, 2, 3, 4]
    for ours, theirs in zip(*lines, strict=True):
        assert {name: value for name, value in ours.items() if name != "step_time"} == pytest.approx(
            {name: value for name, value in theirs.items() if name != "step_time"}, rel=1e-4, abs=1e-6
        )
