"""`RLOOConfig` and `RLOOTrainer` as scripts construct, subclass, read and save them, and `sternpost rloo`."""

import inspect
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from sternpost import RLOOConfig, RLOOTrainer
from sternpost.rloo import contract

OWN = sorted(inspect.get_annotations(RLOOConfig))
"""The options that Sternpost adds or whose default it changes."""
TRAIN = {"grad_norm", "learning_rate", "epoch", "step"}
"""What transformers adds to a training line besides the loss; `step` in the history only."""
EVAL = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "epoch", "step"}
"""What transformers adds to an evaluation line."""
ENDED = {name for name in contract.METRICS if name.endswith("terminated_length")}

calls = Counter()


class Overriding(RLOOTrainer):
    """Overrides every hook with the parameters that its documentation gives, and counts the calls."""

    def roll_out(self, rows, parts, mode):
        calls["roll_out"] += 1
        return super().roll_out(rows, parts, mode)

    def generate(self, rows, mode):
        calls["generate"] += 1
        return super().generate(rows, mode)

    def advantages(self, parts, group, mode):
        calls["advantages"] += 1
        return super().advantages(parts, group, mode)

    def sampling(self, mode):
        calls["sampling"] += 1
        return super().sampling(mode)

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


# ---- Options


def test_defaults_on_a_cpu(golden, tmp_path):
    """L6. On a CPU every option of our own, and every inherited one that we override, is as in the golden file."""
    resolved = RLOOConfig(output_dir=str(tmp_path), use_cpu=True)
    golden("rloo_config", {name: getattr(resolved, name) for name in OWN if name != "bf16"})


def test_own_options_are_keyword_only(tmp_path):
    """L7. Options of our own are passed by keyword; the first positional one is `output_dir`; an unknown one is a
    TypeError that names it."""
    parameters = inspect.signature(RLOOConfig).parameters
    assert {parameters[name].kind for name in OWN} == {inspect.Parameter.KEYWORD_ONLY}
    assert next(iter(parameters)) == "output_dir"
    with pytest.raises(TypeError, match="max_lenght"):
        RLOOConfig(output_dir=str(tmp_path), max_lenght=5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sync_ref_model": True, "beta": 0}, ["sync_ref_model", "beta"]),
        ({"num_generations": 1}, ["num_generations"]),
        ({"reward_clip_range": (1, -1)}, ["reward_clip_range"]),
        ({"generation_batch_size": 8, "steps_per_generation": 3}, ["generation_batch_size", "steps_per_generation"]),
        ({"num_generations": 3}, ["num_generations", "per_device_train_batch_size"]),
        ({"use_liger_kernel": True}, ["use_liger_kernel"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_exclude_each_other(tmp_path, options, named):
    """L8. Options that cannot be had, or not together, are a ValueError when the config is made, which names them."""
    with pytest.raises(ValueError) as caught:
        RLOOConfig(output_dir=str(tmp_path), **options)
    assert all(name in str(caught.value) for name in named)


# ---- Metrics


def test_names_of_metrics(make_rloo_trainer, prompts):
    """L9. Training and evaluation lines have the metrics of the contract and transformers' own, by exactly these names,
    where `{reward}` is the name of each reward; `kl` with a reference, `aux_loss` for mixtures of experts, smallest and
    largest lengths of completions that ended only if there are any; no time and tokens in evaluation."""
    for beta in (0.05, 0.0):
        options = {"max_steps": 2, "eval_strategy": "steps", "eval_steps": 1, "beta": beta}
        trainer = make_rloo_trainer(prompts, prompts[:3], **options)
        trainer.train()
        names = {name.replace("{reward}", "spread") for name in contract.METRICS} - {"aux_loss"}
        names -= set() if beta else {"kl"}
        train = [line for line in trainer.state.log_history if "loss" in line]
        evaluation = [line for line in trainer.state.log_history if "eval_loss" in line]
        assert [set(line) | ENDED for line in train] == [names | TRAIN] * 2
        expected = {f"eval_{name}" for name in names - {"step_time", "num_tokens"}} | EVAL
        assert [set(line) | {f"eval_{name}" for name in ENDED} for line in evaluation] == [expected] * 2


def test_mixture_of_experts_adds_its_loss(make_rloo_trainer, prompts, model_path, mixture_of_experts):
    """L9. `aux_loss` is logged for mixture-of-experts models."""
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    trainer = make_rloo_trainer(
        prompts, model=mixture_of_experts, processing_class=tokenizer, router_aux_loss_coef=0.01
    )
    trainer.train()
    assert "aux_loss" in trainer.state.log_history[0]


def test_rewards_are_clipped_and_log(make_rloo_trainer, prompts, tmp_path):
    """L10. Rewards are called as those of GRPO, and log as those do; advantages are differences within a prompt, of
    what `reward_clip_range` leaves of the rewards."""

    def talkative(prompts, completions, completion_ids, target, trainer_state, log_extra, log_metric):
        assert trainer_state.global_step == 0
        log_extra("length", [len(text) for text in completions])
        log_metric("longest", max(map(len, completions)))
        return [-5.0, 1.0, 2.0, 9.0]

    options = {"log_completions": True, "reward_clip_range": (-1, 4), "beta": 0.0}
    trainer = make_rloo_trainer(prompts, reward_funcs=talkative, **options)
    trainer.train()
    from datasets import load_dataset

    (file,) = (tmp_path / "run" / "completions").iterdir()
    rows = load_dataset("parquet", data_files=str(file), cache_dir=str(tmp_path / "cache"))["train"]
    assert rows.column_names == ["step", "prompt", "completion", "talkative", "advantage", "length"]
    assert rows["advantage"][:] == [-2, 2, -2, 2]
    line = trainer.state.log_history[0]
    assert line["reward"] == 1.75
    assert line["longest"] == max(rows["length"][:])


# ---- The trainer


def test_order_of_arguments(golden):
    """L11. The arguments of `RLOOTrainer` come in the order of the golden file, and so may be passed by position."""
    parameters = inspect.signature(RLOOTrainer).parameters.values()
    golden(
        "rloo_trainer_arguments",
        {
            "by position": [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD],
            "by keyword only": [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY],
        },
    )


def test_bases():
    """L12. `RLOOTrainer` is a `transformers.Trainer` and `RLOOConfig` a `transformers.TrainingArguments`."""
    assert issubclass(RLOOTrainer, Trainer)
    assert issubclass(RLOOConfig, TrainingArguments)


def test_hooks_are_called(make_rloo_trainer, prompts):
    """L13. A subclass overrides the hooks of the contract with their documented parameters, and each is called."""
    assert set(contract.HOOKS) == {name for name in vars(Overriding) if not name.startswith("__")}
    calls.clear()
    options = {"max_steps": 2, "eval_strategy": "steps", "eval_steps": 2}
    make_rloo_trainer(prompts, prompts[:2], trainer_class=Overriding, **options).train()
    assert set(calls) == set(contract.HOOKS)
    assert (calls["roll_out"], calls["compute_loss"], calls["prediction_step"]) == (3, 3, 1)


def test_reference(make_rloo_trainer, prompts):
    """L14. The reference is a frozen copy of the policy, so that `kl` begins at 0; with `beta=0` there is none."""
    assert make_rloo_trainer(prompts, beta=0.0).ref_model is None
    trainer = make_rloo_trainer(prompts, learning_rate=1e-2, max_steps=2)
    start = weights(trainer.model)
    trainer.train()
    assert trainer.state.log_history[0]["kl"] == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(weights(trainer.ref_model), start, rtol=0, atol=0)
    assert any(not torch.equal(start[name], weight) for name, weight in weights(trainer.model).items())


def test_adapters(make_rloo_trainer, prompts):
    """L15. With `peft_config` only the adapter is trained and saved, and the model without it is the reference."""
    peft = pytest.importorskip("peft")
    adapter = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")
    trainer = make_rloo_trainer(prompts, peft_config=adapter)
    assert all("lora_" in name for name, weight in trainer.model.named_parameters() if weight.requires_grad)
    assert trainer.ref_model is None
    trainer.train()
    trainer.save_model()
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names_in(trainer.args.output_dir)
    assert "model.safetensors" not in names_in(trainer.args.output_dir)


# ---- Files


def test_files_of_a_checkpoint(make_rloo_trainer, prompts, tmp_path):
    """L16. A checkpoint lies in `checkpoint-<step>` and consists of the files of the contract, no fewer and no more."""
    make_rloo_trainer(prompts, save_strategy="steps", save_steps=1).train()
    assert names_in(tmp_path / "run" / "checkpoint-1") == set(contract.CHECKPOINT)


def test_saved_model_is_a_plain_one(make_rloo_trainer, prompts, tmp_path):
    """L17. What `save_model` writes is loaded by transformers alone, model and tokenizer."""
    trainer = make_rloo_trainer(prompts, learning_rate=1e-2)
    trainer.train()
    trainer.save_model()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    torch.testing.assert_close(weights(loaded), weights(trainer.model), rtol=0, atol=0)
    assert AutoTokenizer.from_pretrained(tmp_path / "run").chat_template == trainer.processing_class.chat_template


@pytest.mark.parametrize("options", [{}, {"steps_per_generation": 3, "num_iterations": 2}])
def test_resuming_goes_on(make_rloo_trainer, prompts, tmp_path, options):
    """L18. A resumed run has the lines of one that was never interrupted, also from the middle of a generation."""
    options = options | {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "learning_rate": 1e-3}
    whole = make_rloo_trainer(prompts, **options)
    whole.train()
    (tmp_path / "run" / "checkpoint-4").rename(tmp_path / "put aside")
    resumed = make_rloo_trainer(prompts, **options)
    resumed.train(resume_from_checkpoint=True)
    lines = [[line for line in each.state.log_history if "loss" in line] for each in (resumed, whole)]
    assert [line["step"] for line in lines[0]] == [1, 2, 3, 4]
    for ours, theirs in zip(*lines, strict=True):
        assert {name: value for name, value in ours.items() if name != "step_time"} == pytest.approx(
            {name: value for name, value in theirs.items() if name != "step_time"}, rel=1e-4, abs=1e-6
        )


# ---- Command line


def test_help_lists_every_option(run_command, assert_light):
    """L19. `sternpost rloo --help` lists every option, `reward_funcs` and `reward_model_name_or_path` too, and loads
    neither torch nor transformers."""
    done = run_command("rloo", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert_light(done.stderr)
    flags = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  --")}
    assert {f"--{name}" for name in OWN} | {"--reward_funcs", "--reward_model_name_or_path"} <= flags


def test_command_trains(run_command, tmp_path, model_path, prompts):
    """L20. `sternpost rloo` takes rewards by the paths of functions; the model lies in `output_dir`."""
    import json

    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    (tmp_path / "judges.py").write_text("def brief(completions):\n    return [-float(len(c)) for c in completions]\n")
    small = ["--max_steps", "1", "--use_cpu", "--no_bf16", "--save_strategy", "no", "--max_completion_length", "6"]
    words = ["--model", model_path, "--dataset", "rows.jsonl", "--reward_funcs", "judges.brief", "--output_dir", "out"]
    done = run_command("rloo", *words, *small, "--report_to", "none", "--logging_steps", "1")
    assert done.returncode == 0, done.stderr
    assert "rewards/brief/mean=-" in done.stdout
    assert (tmp_path / "out" / "model.safetensors").is_file()
