"""Where the two libraries differ in GRPO, and why. Each entry proves that the difference is the one that it names."""

from functools import partial
from typing import Any

import pytest
import torch

from .. import online_proofs
from ..compare import METRIC_TOLERANCE, Difference
from ..online import OnlineRun
from ..online_proofs import STILL, alike, near
from .cases import BY_TOKENS, MEANS, MISMATCH, PARTS, STEPS, TWICE, case, corrected, loss
from .run import run

WHOLE: dict[str, Any] = {"gradient_accumulation_steps": 1, "per_device_train_batch_size": 8}
HALVES: dict[str, Any] = {"gradient_accumulation_steps": 1, "per_device_train_batch_size": 4}


def lengths(done: OnlineRun) -> torch.Tensor:
    """Tokens of each completion that are learned."""
    return torch.tensor([float(sum(each.drawn)) for each in done.made])


def average_over_an_optimizer_step() -> None:
    for name in BY_TOKENS:
        made = case(STEPS | loss(name, max_steps=2, **STILL))
        ours, peer = run("sternpost", made), run("trl", made)
        tokens = lengths(ours)
        for step, part in enumerate((slice(0, 4), slice(4, 8))):
            share = float(tokens[part].sum() / (tokens.sum() / 2))
            assert abs(share - 1) > 0.05
            assert peer.losses[step] == near(ours.losses[step] * share)
            assert peer.grad_norms[step] == near(ours.grad_norms[step] * share)
    made = case(STEPS | loss("dapo", max_steps=2, **STILL))
    ours, tokens = run("sternpost", made), lengths(run("sternpost", made))
    for step, part in enumerate((slice(0, 4), slice(4, 8))):  # on policy, ratios are 1
        assert ours.losses[step] == near(-float((ours.advantages * tokens)[part].sum() / tokens[part].sum()))


def generations_in_an_optimizer_step() -> None:
    parts: dict[str, Any] = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
    for options in (loss("dapo"), loss("grpo", scale_rewards="batch")):
        made = case(parts | options, unlike=MEANS)
        ours = run("sternpost", made, steps_per_generation=1)
        assert alike(ours, run("trl", made, steps_per_generation=2))
        assert not alike(ours, run("trl", made, steps_per_generation=1))
    made = case(parts | loss("grpo"))
    assert alike(run("sternpost", made, steps_per_generation=1), run("trl", made, steps_per_generation=1))


def divergence_of_sequences() -> None:
    made = case(TWICE | loss("grpo", beta=0.5), rewards=("equal",))  # only the divergence is left of the loss
    by_token, by_sequence = {"importance_sampling_level": "token"}, {"importance_sampling_level": "sequence"}
    ours, peer = run("sternpost", made, **by_sequence), run("trl", made, **by_sequence)
    assert alike(ours, run("sternpost", made, **by_token))
    assert alike(ours, run("trl", made, **by_token))
    assert peer.losses[0] == near(ours.losses[0])  # ratios are 1
    assert peer.losses[1] != near(ours.losses[1], 1e-3)
    plain = {"use_bias_correction_kl": False}
    assert alike(run("sternpost", made, **by_sequence, **plain), run("trl", made, **by_sequence, **plain))


def entropy_bonus_of_an_optimizer_step() -> None:
    made = case(loss("grpo", entropy_coef=0.1), rewards=("equal",))  # only the bonus is left of the loss
    ours, peer = run("sternpost", made, **PARTS), run("trl", made, **PARTS)
    assert alike(ours, run("trl", made, **WHOLE))
    assert ours.losses == near([-0.1 * step["entropy"] for step in ours.metrics])
    halves = run("trl", made, **HALVES, **STILL, max_steps=2)
    assert peer.losses[0] == near(sum(halves.losses) / 2)
    assert peer.losses[0] != near(ours.losses[0])


def policy_losses() -> None:
    made = case(loss("dapo", entropy_coef=0.1) | STILL, rewards=("variety",))
    ours, peer = run("sternpost", made, **PARTS), run("trl", made, **PARTS)
    without_bonus = run("trl", made, **PARTS, entropy_coef=0.0)
    for mine, theirs, expected in zip(ours.metrics, peer.metrics, without_bonus.losses, strict=True):
        assert mine["policy_loss"] == near(expected)
        assert theirs["policy_loss"] == near(expected / 2)
    of_sequences = case(loss("grpo", entropy_coef=0.1, beta=0.1) | STILL | PARTS)
    found = [[step["policy_loss"] for step in run(each, of_sequences).metrics] for each in ("sternpost", "trl")]
    assert found[0] == near(found[1])


def metrics_of_micro_batches() -> None:
    made = case(loss("grpo", beta=0.1))
    ours, peer = run("sternpost", made, **PARTS), run("trl", made, **PARTS)
    assert alike(ours, peer)
    together = run("trl", made, **WHOLE)
    halves = run("trl", made, **HALVES, **STILL, max_steps=2)
    for name in ("entropy", "kl"):
        assert ours.metrics[0][name] == near(together.metrics[0][name], 1e-4)
        assert peer.metrics[0][name] == near(sum(step[name] for step in halves.metrics) / 2, 1e-4)
        assert peer.metrics[0][name] != near(ours.metrics[0][name], 1e-4)
    twice = TWICE | loss("grpo", epsilon=0.005)
    ours, peer = run("sternpost", case(twice | PARTS)), run("trl", case(twice | PARTS))
    together = run("trl", case(twice))
    for name in ("clip_ratio/low_min", "clip_ratio/high_max"):
        assert [step[name] for step in ours.metrics] == near([step[name] for step in together.metrics], 1e-4)
    assert ours.metrics[1]["clip_ratio/high_max"] >= peer.metrics[1]["clip_ratio/high_max"] - 1e-6


def groups_without_signal() -> None:
    made = case({"scale_rewards": "batch", "beta": 0.1}, rewards=("seldom",))
    ours, peer = run("sternpost", made), run("trl", made)
    assert alike(ours, peer)
    groups = ours.advantages.view(-1, 2, 4).abs().amax(2)
    silent = (groups == 0).float().mean(1).tolist()
    assert [step["frac_reward_zero_std"] for step in ours.metrics] == silent
    assert 0.5 in silent
    assert [step["frac_reward_zero_std"] for step in peer.metrics] == [float(share == 1) for share in silent]
    some = case(rewards=("rarely",))
    ours, peer = run("sternpost", some), run("trl", some)
    groups = ours.advantages.view(-1, 2, 4).abs().amax(2)
    assert [step["frac_reward_zero_std"] for step in ours.metrics] == (groups == 0).float().mean(1).tolist()
    assert sum(step["frac_reward_zero_std"] for step in peer.metrics) < float((groups == 0).float().sum() / 2)


def order_of_completions() -> None:
    made = case(PARTS | loss("bnpo"))
    ours = run("sternpost", made)
    assert alike(ours, run("trl", made))
    assert not alike(ours, run("trl", made, mixed=True))
    whole = case(PARTS | loss("grpo"))
    assert alike(run("sternpost", whole), run("trl", whole, mixed=True))


def sampler_metrics() -> None:
    made = corrected("token_truncate", TWICE)
    ours, peer = run("sternpost", made), run("trl", made)
    for step, (mine, theirs) in enumerate(zip(ours.metrics, peer.metrics, strict=True)):
        assert set(MISMATCH) <= mine.keys()
        expected = theirs if step % 2 == 0 else peer.metrics[step - 1]  # in which the generation was made
        for name in MISMATCH:
            assert mine[name] == pytest.approx(expected[name], **METRIC_TOLERANCE)
        assert (MISMATCH[0] in theirs) == (step % 2 == 0)
    plain = case(noise=0.2)
    differences = {name for name in MISMATCH if "logp_difference" in name}
    assert differences == {name for name in MISMATCH if name in run("sternpost", plain).metrics[0]}
    assert not set(MISMATCH) & run("trl", plain).metrics[0].keys()


def off_policy_tokens_without_log_probability() -> None:
    made = case(TWICE | {"off_policy_mask_threshold": 0.0}, unlike=MISMATCH)
    nothing_known = case(made.options, noise=0.2, unknown=1.0)
    ours, peer = run("sternpost", nothing_known), run("trl", nothing_known)
    assert alike(ours, run("trl", made))  # where the sampler is not asked
    assert alike(peer, run("trl", case(TWICE)))  # nothing is masked
    assert not alike(ours, peer)


EXPLAINED = {
    "averages over tokens": Difference(
        "`dapo`, `cispo` and `vespo` divide by the tokens of the optimizer step. TRL divides by those of the "
        "generation, times the share of its micro-batches that are in the step, which is the same only where a "
        "generation is one optimizer step.",
        average_over_an_optimizer_step,
    ),
    "several generations in an optimizer step": Difference(
        "Where `steps_per_generation` is below `gradient_accumulation_steps`, a generation still fills an optimizer "
        "step: the same completions, drawn at once. TRL makes several, each with averages over tokens and spreads "
        "of rewards of its own.",
        generations_in_an_optimizer_step,
    ),
    "divergence with ratios of sequences": Difference(
        "`use_bias_correction_kl` weighs the divergence of a token by the ratio of this token, also where the "
        "objective has ratios of sequences. TRL weighs it by the ratio of the sequence (its issue 6586).",
        divergence_of_sequences,
    ),
    "entropy bonus under accumulation": Difference(
        "The bonus is for the mean over the tokens of an optimizer step. TRL takes the mean of the means of the "
        "micro-batches, which weighs tokens of short completions more.",
        entropy_bonus_of_an_optimizer_step,
    ),
    "`policy_loss` under accumulation": Difference(
        "It is the loss of the optimizer step without the entropy bonus. For averages over tokens TRL logs it divided "
        "by the number of micro-batches. The other losses agree.",
        policy_losses,
    ),
    "`num_tokens` of GRPO": Difference(
        "Tokens that are computed: a prompt once for its group, and tokens of tools too. TRL counts a prompt for each "
        "completion, and no tokens of tools.",
        partial(online_proofs.tokens, "GRPO"),
    ),
    "metrics of GRPO under accumulation": Difference(
        "Entropy, divergence and shares of clipped tokens are means over all tokens since the last log line, "
        "`clip_ratio/low_min` and `high_max` the smallest and the largest share of a completion. TRL takes the mean of "
        "those of the micro-batches. Loss and gradients agree.",
        metrics_of_micro_batches,
    ),
    "`frac_reward_zero_std`": Difference(
        "The share of groups without signal, whatever advantages are divided by; a group with at most one reward has "
        "none. TRL says whether the batch has none, where its spread is divided by, and does not count groups with "
        "one reward.",
        groups_without_signal,
    ),
    "equal rewards": Difference(
        "Completions of a prompt with the same reward have no advantage. TRL gives them what rounding of their mean "
        "leaves, divided by a spread of nearly nothing.",
        partial(online_proofs.equal_rewards, "GRPO"),
    ),
    "order of completions": Difference(
        "Completions of a prompt stay together in a micro-batch, which computes the prompt once. TRL mixes all "
        "completions of a generation; the comparison turns that off, since it decides what a mean over a micro-batch "
        "(`bnpo`) is over. Other losses do not depend on it where a generation is one optimizer step.",
        order_of_completions,
    ),
    "metrics of the sampler": Difference(
        "They are logged in every optimizer step, and the difference of log-probabilities also without a correction. "
        "TRL logs them in steps that begin with a generation by vLLM.",
        sampler_metrics,
    ),
    "`off_policy_mask_threshold` without log-probabilities": Difference(
        "Where the sampler does not say how likely a token was, the policy that the completion counts as drawn from "
        "does. TRL takes such tokens as unchanged.",
        off_policy_tokens_without_log_probability,
    ),
    "prompts before learned positions": Difference(
        "Positions count from the first token of a prompt. TRL pads prompts on the left and lets positions count from "
        "the padding, so that a model with learned positions (GPT-2) sees shorter prompts shifted.",
        partial(online_proofs.padding_before_learned_positions, "GRPO"),
    ),
    "shared prompts and experts of GRPO": Difference(
        "The load-balancing loss is that of the tokens that are routed, and a prompt is routed once for its group. TRL "
        "routes it for each completion.",
        partial(online_proofs.routed_prompts, "GRPO"),
    ),
    "evaluation of GRPO": Difference(
        "Loss and metrics are means over all completions, or tokens. TRL takes the means of those of the batches, in "
        "another order of the prompts, and its `eval_loss` weighs the last batch as if there were as many completions "
        "as prompts. Spreads of rewards are means of those of the batches in both.",
        partial(online_proofs.evaluations, "GRPO"),
    ),
    "reward models of running text": Difference(
        "Text is ended by the end token, as in the training of reward models. TRL leaves it open. Conversations agree.",
        partial(online_proofs.reward_models_of_text, "GRPO"),
    ),
    "nothing to log": Difference(
        "The shortest and longest of the completions that came to their end are left out where there are none, and so "
        "are the rewards of a function that gave none. TRL logs 0, and None.",
        partial(online_proofs.nothing_to_log, "GRPO"),
    ),
    "`sync_ref_model` with an adapter in GRPO": Difference(
        "The reference is a copy of the adapter, which follows the trained one. TRL refuses.",
        partial(online_proofs.adapter_that_is_followed, "GRPO"),
    ),
}
