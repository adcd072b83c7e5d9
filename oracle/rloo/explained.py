"""Where the two libraries differ in RLOO, and why. Each entry proves that the difference is the one that it names."""

from functools import partial
from typing import Any

from .. import online_proofs
from ..compare import Difference
from ..online_proofs import STILL, alike, near
from .cases import PARTS, STEPS, TWICE, case
from .run import run

WHOLE: dict[str, Any] = {"gradient_accumulation_steps": 1, "per_device_train_batch_size": 8}
HALVES: dict[str, Any] = {"gradient_accumulation_steps": 1, "per_device_train_batch_size": 4}


def metrics_of_micro_batches() -> None:
    made = case()
    ours, peer = run("sternpost", made, **PARTS), run("trl", made, **PARTS)
    assert alike(ours, peer)
    together, halves = run("trl", made, **WHOLE), run("trl", made, **HALVES, **STILL, max_steps=2)
    assert ours.metrics[0]["entropy"] == near(together.metrics[0]["entropy"], 1e-4)
    assert peer.metrics[0]["entropy"] == near(sum(step["entropy"] for step in halves.metrics) / 2, 1e-4)
    assert peer.metrics[0]["entropy"] != near(ours.metrics[0]["entropy"], 1e-4)
    twice = TWICE | {"epsilon": 0.01}
    ours, peer = run("sternpost", case(twice | PARTS)), run("trl", case(twice | PARTS))
    together = run("trl", case(twice))
    for name in ("clip_ratio/low_min", "clip_ratio/high_max"):
        assert [step[name] for step in ours.metrics] == near([step[name] for step in together.metrics], 1e-4)
    assert ours.metrics[1]["clip_ratio/high_max"] >= peer.metrics[1]["clip_ratio/high_max"]


def groups_without_signal() -> None:
    made = case(rewards=("seldom",))
    ours, peer = run("sternpost", made), run("trl", made)
    assert alike(ours, peer)
    without = run("trl", made, beta=0.0)
    shares = [step["frac_reward_zero_std"] for step in ours.metrics]
    assert shares == [step["frac_reward_zero_std"] for step in without.metrics]
    assert sum(shares) > 0
    assert [step["frac_reward_zero_std"] for step in peer.metrics] == [0.0] * 3
    cut = case({"beta": 0.0, "reward_clip_range": (-2.0, -1.0)}, rewards=("seldom",))  # which makes all equal
    assert [step["frac_reward_zero_std"] for step in run("sternpost", cut).metrics] == shares
    assert [step["frac_reward_zero_std"] for step in run("trl", cut).metrics] == [1.0] * 3


def order_of_completions() -> None:
    made = case(STEPS)
    ours = run("sternpost", made)
    assert alike(ours, run("trl", made))
    assert not alike(ours, run("trl", made, mixed=True))
    whole = case(PARTS)
    assert alike(run("sternpost", whole), run("trl", whole, mixed=True))


EXPLAINED = {
    "`num_tokens` of RLOO": Difference(
        "A prompt is computed and counted once for its group. TRL counts it for each completion.",
        partial(online_proofs.tokens, "RLOO"),
    ),
    "metrics of RLOO under accumulation": Difference(
        "Entropy is the mean over all tokens since the last log line, `clip_ratio/low_min` and `high_max` the smallest "
        "and the largest value of a completion. TRL takes the mean of those of the micro-batches. Loss and gradients "
        "agree.",
        metrics_of_micro_batches,
    ),
    "`frac_reward_zero_std` of RLOO": Difference(
        "The share of groups whose completions have the same reward. TRL looks at rewards that are cut and less the "
        "divergence, of which no two are the same.",
        groups_without_signal,
    ),
    "equal rewards in RLOO": Difference(
        "Completions of a prompt with the same reward have no advantage. TRL gives them what rounding of their mean "
        "leaves.",
        partial(online_proofs.equal_rewards, "RLOO"),
    ),
    "order of completions in RLOO": Difference(
        "Completions of a prompt stay together in a micro-batch, which computes the prompt once. TRL mixes all "
        "completions of a generation, which decides what an optimizer step learns from where there are several for a "
        "generation; the comparison turns that off.",
        order_of_completions,
    ),
    "prompts before learned positions in RLOO": Difference(
        "Positions count from the first token of a prompt. TRL pads prompts on the left and lets positions count from "
        "the padding, so that a model with learned positions (GPT-2) sees shorter prompts shifted.",
        partial(online_proofs.padding_before_learned_positions, "RLOO"),
    ),
    "shared prompts and experts of RLOO": Difference(
        "The load-balancing loss is that of the tokens that are routed, and a prompt is routed once for its group. TRL "
        "routes it for each completion.",
        partial(online_proofs.routed_prompts, "RLOO"),
    ),
    "evaluation of RLOO": Difference(
        "Loss and metrics are means over all completions, or tokens. TRL takes the means of those of the batches, in "
        "another order of the prompts, and its `eval_loss` weighs the last batch as if there were as many completions "
        "as prompts. Spreads of rewards are means of those of the batches in both.",
        partial(online_proofs.evaluations, "RLOO"),
    ),
    "reward models of running text in RLOO": Difference(
        "Text is ended by the end token, as in the training of reward models. TRL leaves it open. Conversations agree.",
        partial(online_proofs.reward_models_of_text, "RLOO"),
    ),
    "nothing to log in RLOO": Difference(
        "The shortest and longest of the completions that came to their end are left out where there are none, and so "
        "are the rewards of a function that gave none. TRL logs 0, and None.",
        partial(online_proofs.nothing_to_log, "RLOO"),
    ),
    "`sync_ref_model` with an adapter in RLOO": Difference(
        "The reference is a copy of the adapter, which follows the trained one. TRL refuses.",
        partial(online_proofs.adapter_that_is_followed, "RLOO"),
    ),
}
