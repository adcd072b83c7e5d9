"""RLOO from rows to updated weights: layouts, accumulation and resuming change nothing that they should not."""

import math

import pytest
import torch
from datasets import Dataset

from sternpost.grpo.config import GRPOConfig
from sternpost.grpo.trainer import GRPOTrainer
from sternpost.rloo.config import RLOOConfig
from sternpost.rloo.trainer import RLOOTrainer

from .. import tiny
from ..grpo.test_trainer import (
    FOLLOWING,
    QUIET,
    Scripted,
    assert_same,
    assert_same_lines,
    prompts,
    resumed,
    reward,
    trained,
)


def make(path, options=None, reward_funcs=reward, kind=RLOOTrainer, config=RLOOConfig, **kwargs):
    kwargs = {"backend": Scripted()} | kwargs
    args = config(str(path), **QUIET | (options or {}))
    rows = Dataset.from_list(prompts())
    return kind(tiny.model(), reward_funcs, args, rows, processing_class=tiny.tokenizer(), **kwargs)


def test_twin_of_summed_grpo(tmp_path):
    """On policy, the gradient is that of GRPO with unscaled advantages and summed tokens, times G / (G - 1)."""
    options = {"loss_type": "luspo", "scale_rewards": "none", "learning_rate": 1e-2 * 4 / 3, "max_grad_norm": 0.0,
               "vllm_importance_sampling_correction": False}  # fmt: skip
    theirs = trained(make(tmp_path / "b", options, kind=GRPOTrainer, config=GRPOConfig))
    ours = trained(make(tmp_path / "c", {"beta": 0.0, "max_grad_norm": 0.0}))
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"normalize_advantages": True, "reward_clip_range": (0.0, 4.0)}])
def test_accumulating_is_a_larger_batch(tmp_path, options):
    """Eight completions at once, or four and four, or two at a time: the same steps."""
    whole = trained(make(tmp_path / "a", options))
    for size in (4, 2):
        parts = options | {"per_device_train_batch_size": size, "gradient_accumulation_steps": 8 // size}
        assert_same(trained(make(tmp_path / str(size), parts)), whole)


def test_a_shared_prompt_changes_nothing(tmp_path):
    """Prompts computed once, or with every completion."""
    shared, padded = make(tmp_path / "a", {"beta": 0.5}), make(tmp_path / "b", {"beta": 0.5})
    assert shared.shared
    padded.shared = False
    assert_same(trained(shared), trained(padded))


def test_what_the_sampler_said_saves_a_pass(tmp_path):
    """With the policy itself as sampler, the divergence from the reference is the same as with a pass of its own."""
    known = make(tmp_path / "a", {"beta": 0.5}, backend=None)
    scored = make(tmp_path / "b", {"beta": 0.5}, backend=None)
    scored.sampler_is_policy = False
    results = trained(known), trained(scored)
    assert known.waiting[0].rollout.old_logps is None
    assert scored.waiting[0].rollout.old_logps is not None
    assert_same(*results)


@pytest.mark.parametrize("options", [{"num_iterations": 2}, {"steps_per_generation": 2}, {}])
def test_resuming_is_as_if_nothing_had_happened(tmp_path, options):
    """Also in the middle of a generation, whose completions are kept."""
    options = options | {"max_steps": 5, "save_strategy": "steps", "save_steps": 1}
    straight = trained(make(tmp_path / "a", options, backend=None))
    make(tmp_path / "b", options, backend=None).train()
    again = make(tmp_path / "b", options, backend=None)
    again.train(resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-3"))
    weights = torch.cat([weight.detach().flatten() for weight in again.model.parameters()])
    assert_same((tiny.losses(again)[3:], weights), (straight[0][3:], straight[1]))


@pytest.mark.parametrize(
    "options",
    [FOLLOWING | {"max_steps": 4, "save_steps": 2}, {"max_steps": 4, "logging_steps": 4, "save_steps": 2}],
)
def test_the_reference_that_follows_and_metrics_are_resumed(tmp_path, options):
    """What has been added up for the next line, and what divergences are from."""
    straight, again = resumed(make, tmp_path, options, 2)
    assert_same_lines(straight[-1:], again[-1:], but=("epoch", "step_time", "loss"))


def test_rewards_teach(tmp_path):
    """The policy itself generates, and what is rewarded becomes more frequent."""

    def likes(completion_ids, **kwargs):
        return [float(sum(token < 150 for token in ids)) / len(ids) for ids in completion_ids]

    options = {"max_steps": 15, "per_device_train_batch_size": 32, "num_generations": 8, "optim": "adamw_torch",
               "beta": 0.0}  # fmt: skip
    trainer = make(tmp_path, options, likes, backend=None)
    trainer.train_dataset = Dataset.from_list(prompts(8))
    trainer.train()
    found = [line["reward"] for line in trainer.state.log_history if "reward" in line]
    assert sum(found[-3:]) / 3 > sum(found[:3]) / 3 + 0.15


def test_metrics_and_evaluation(tmp_path):
    """They are there, finite, and the divergence is zero before the first step."""
    trainer = make(tmp_path, {"num_generations_eval": 2, "per_device_eval_batch_size": 4, "log_completions": True})
    trainer.train()
    first = trainer.state.log_history[0]
    assert 0.01 < first["sampling/sampling_logp_difference/mean"] < 1
    assert abs(first["kl"]) < 1e-5
    assert abs(trainer.state.log_history[2]["kl"]) > 1e-5
    assert all(math.isfinite(value) for value in first.values())
    assert (tmp_path / "completions" / "completions_00001.parquet").exists()
    metrics = trainer.evaluate(Dataset.from_list(prompts(4)))
    assert all(math.isfinite(metrics[name]) for name in ("eval_reward", "eval_loss"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward_clip_range": (1.0, 0.0)}, "`reward_clip_range=(1.0, 0.0)` must be two numbers"),
        ({"reward_clip_range": 5.0}, "`reward_clip_range=5.0` must be two numbers"),
        ({"reward_clip_range": ("a", "b")}, "`reward_clip_range=('a', 'b')` must be two numbers"),
        ({"beta": -1.0}, "`beta=-1.0` must not be negative"),
        ({"beta": 0.0, "sync_ref_model": True}, "`beta=0` needs no reference"),
        ({"epsilon": 1.5}, "`epsilon=1.5` must be from 0"),
        ({"generation_batch_size": 12}, "`generation_batch_size=12` is no multiple of the 8"),
        ({"generation_kwargs": {"top_n": 1}}, "`generation_kwargs` holds `top_n`, which only vLLM knows"),
        ({"generation_kwargs": {"top_p": 1}}, "`generation_kwargs` holds `top_p`, which is decided elsewhere"),
        ({"auto_find_batch_size": True}, "`auto_find_batch_size=True` would change"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    """Before anything is loaded."""
    with pytest.raises(ValueError) as error:
        RLOOConfig(str(tmp_path), **QUIET | options)
    assert message in str(error.value)
