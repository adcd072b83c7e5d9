"""Where the two libraries differ in DPO, and why. Each entry proves that the difference is exactly the one it names."""

from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import softplus
from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func

from sternpost.dpo.contract import METRICS

from .. import models
from ..case import ONE_ROW, PADDED, WHOLE, accumulated
from ..compare import METRIC_TOLERANCE, TOLERANCE, UPDATE_TOLERANCE, Difference, same
from ..rows import Rows, build
from ..train import Run
from .cases import MEANS, case, loss
from .run import PairCase, run, trainer

ROWS = "pair"
COUNTED = ("num_tokens",)
STILL: dict[str, Any] = {"learning_rate": 0.0}
"""Weights stay as they are, so that the metrics of a step say what its loss was made of."""


def near(expected: Any, tolerance: float = TOLERANCE) -> Any:
    return pytest.approx(expected, rel=tolerance)


def mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    return (1 - share) * one + share * other


def tokens_of(prepared: Any, names: tuple[str, ...]) -> int:
    return sum(len(row[name]) for row in prepared for name in names)


def smoothed_labels() -> None:
    swapped = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in build(ROWS)]
    for name in ("sigmoid", "hinge", "sigmoid_norm"):
        made = case(loss(name, max_steps=1, beta=0.5))
        right, wrong = run("trl", made), run("trl", made, swapped)
        ours = run("sternpost", made, label_smoothing=0.2)
        assert ours.losses[0] == near(0.8 * right.losses[0] + 0.2 * wrong.losses[0])
        expected = mixed(right.change, wrong.change, 0.2)
        assert float((ours.change - expected).norm() / expected.norm()) <= UPDATE_TOLERANCE
        assert same(run("trl", made, label_smoothing=0.2), right)


def running_mean() -> None:
    made = case(loss("bco_pair", max_steps=6) | ONE_ROW | STILL)
    shifts = {"trl": 0.0, "sternpost": 0.0}
    for library in shifts:
        done = run(library, made)
        seen: list[float] = []
        for step, metrics in zip(done.losses, done.metrics, strict=True):
            chosen, rejected = metrics["rewards/chosen"], metrics["rewards/rejected"]
            shift = sum(seen) / len(seen) if seen and library == "sternpost" else 0.0
            expected = softplus(torch.tensor([shift - chosen, rejected - shift])).sum()
            assert step == near(float(expected), 1e-4)
            seen.append((chosen + rejected) / 2)
        assert max(map(abs, seen)) > 0.01


def shared_prompts() -> None:
    made = case()
    prepared = trainer("sternpost", made).train_dataset.to_list()
    ours, peer = run("sternpost", made), run("trl", made)
    once = tokens_of(prepared, ("prompt_ids", "chosen_ids", "rejected_ids"))
    assert ours.metrics[-1]["num_tokens"] == once
    assert peer.metrics[-1]["num_tokens"] == once + tokens_of(prepared, ("prompt_ids",))
    assert run("sternpost", made, **PADDED).metrics[-1]["num_tokens"] == peer.metrics[-1]["num_tokens"]


def routed_prompts() -> None:
    made = case(model="moe")
    ours, peer = run("sternpost", made, max_steps=1), run("trl", made, max_steps=1)
    model = models.build("moe")
    rows = trainer("sternpost", made).train_dataset.to_list()[:4]
    logits = [router_logits(model, row, twice=False) for row in rows]
    config = model.config
    layers = tuple(torch.cat(layer) for layer in zip(*logits, strict=True))
    once = float(load_balancing_loss_func(layers, config.num_experts, config.num_experts_per_tok))
    assert ours.metrics[0]["aux_loss"] == near(once)
    twice = tuple(
        torch.cat(layer) for layer in zip(*[router_logits(model, row, twice=True) for row in rows], strict=True)
    )
    expected = float(load_balancing_loss_func(twice, config.num_experts, config.num_experts_per_tok))
    assert peer.metrics[0]["aux_loss"] == near(expected)
    pairs = [done.losses[0] - config.router_aux_loss_coef * done.metrics[0]["aux_loss"] for done in (ours, peer)]
    assert pairs[0] == near(pairs[1])


def router_logits(model: Any, row: dict[str, Any], twice: bool) -> list[Tensor]:
    """`[tokens, experts]` of each layer: of the prompt with both answers, once or twice."""
    with torch.no_grad():
        chosen, rejected = (
            model(input_ids=torch.tensor([row["prompt_ids"] + row[name]]), output_router_logits=True).router_logits
            for name in ("chosen_ids", "rejected_ids")
        )
    start = 0 if twice else len(row["prompt_ids"])
    return [torch.cat([one, other[start:]]) for one, other in zip(chosen, rejected, strict=True)]


def uneven_batches() -> None:
    uneven: dict[str, Any] = {"per_device_train_batch_size": 5, "gradient_accumulation_steps": 3, "max_steps": 1}
    for options in (loss("sigmoid"), loss("ipo")):
        made = case(options)
        ours, peer = run("sternpost", made, **uneven), run("trl", made, **uneven)
        assert same(ours, run("trl", made, **WHOLE, max_steps=1))
        parts = [run("trl", made, rows, **WHOLE, max_steps=1) for rows in batches(build(ROWS))]
        assert peer.losses[0] == near(sum(part.losses[0] for part in parts) / 3)
        assert not same(ours, peer)


def batches(rows: Rows) -> list[Rows]:
    return [rows[:5], rows[5:10], rows[10:]]


def token_means() -> None:
    made = case(loss("sft"))
    ours, peer = run("sternpost", made, **accumulated(4)), run("trl", made, **accumulated(4))
    together = run("trl", made)
    assert same(ours, together)
    singles = run("trl", made, **ONE_ROW, **STILL, max_steps=4)
    assert peer.losses[0] == near(sum(singles.losses) / 4)
    assert not same(ours, peer)


def metrics_of_accumulated_batches() -> None:
    made = case()
    ours, peer = run("sternpost", made, **accumulated(4)), run("trl", made, **accumulated(4))
    assert same(ours, peer)
    together, singles = run("trl", made), run("trl", made, **ONE_ROW, **STILL, max_steps=4)
    for name in MEANS:
        assert ours.metrics[0][name] == near(together.metrics[0][name], 1e-4)
        assert peer.metrics[0][name] == near(sum(step[name] for step in singles.metrics) / 4, 1e-4)


def metrics_of_evaluation() -> None:
    rows = build(ROWS)
    ours = evaluation("sternpost", rows, 5)
    assert compared(ours) == pytest.approx(compared(evaluation("trl", rows, 12)), **METRIC_TOLERANCE)
    parts = [evaluation("trl", part, 12) for part in batches(rows)]
    means = {name: sum(part[name] for part in parts) / 3 for name in compared(parts[0]) if name != "eval_loss"}
    peer = evaluation("trl", rows, 5)
    assert {name: peer[name] for name in means} == pytest.approx(means, **METRIC_TOLERANCE)
    assert ours["eval_rewards/margins"] != near(peer["eval_rewards/margins"], 1e-3)
    assert ours["eval_loss"] == near(peer["eval_loss"])


def evaluation(library: str, rows: Rows, size: int) -> dict[str, float]:
    made: PairCase = case({"per_device_eval_batch_size": size})
    return trainer(library, made).evaluate(Dataset.from_list(rows))


def compared(metrics: dict[str, float]) -> dict[str, float]:
    names = [f"eval_{name}" for name in METRICS if name not in (*COUNTED, "aux_loss")]
    return {name: metrics[name] for name in names}


def tokens_that_are_never_predicted() -> None:
    cut = 6
    made = case(loss("sigmoid_norm", max_length=cut, truncation_mode="keep_end", max_steps=12) | ONE_ROW | STILL)
    rows = trainer("sternpost", made).train_dataset.to_list()
    lengths = [[min(len(row[name]), cut) for name in ("chosen_ids", "rejected_ids")] for row in rows]
    assert any(cut in pair for pair in lengths)
    for library, unpredicted in (("trl", 0), ("sternpost", 1)):
        done: Run = run(library, made)
        for step, metrics, pair in zip(done.losses, done.metrics, lengths, strict=True):
            counted = [length - unpredicted * (length == cut) for length in pair]
            margin = metrics["rewards/chosen"] / counted[0] - metrics["rewards/rejected"] / counted[1]
            assert step == near(float(softplus(torch.tensor(-margin))))


def equal_answers() -> None:
    rows = [row | ({"rejected": row["chosen"]} if at % 4 == 1 else {}) for at, row in enumerate(build(ROWS))]
    different = [row for row in rows if row["chosen"] != row["rejected"]]
    made = case()
    ours = run("sternpost", made, rows)
    assert same(ours, run("trl", made, different))
    assert not same(ours, run("trl", made, rows))


def weighted_losses() -> None:
    for name in ("hinge", "sft"):
        made = case(loss(name, use_weighting=True))
        with pytest.raises(RuntimeError, match=r"inplace operation|single memory location"):
            run("trl", made)
    sft, hinge = (case(loss(name, use_weighting=True) | STILL) for name in ("sft", "hinge"))
    lengths = [len(row["chosen_ids"]) for row in trainer("sternpost", sft).train_dataset.to_list()[:4]]
    singles = run("trl", sft, **ONE_ROW, max_steps=4)  # which works, as an answer's mean is that of the batch
    by_tokens = sum(length * step for length, step in zip(lengths, singles.losses, strict=True)) / sum(lengths)
    assert run("sternpost", sft, max_steps=1).losses[0] == near(by_tokens)
    plain, weighted = run("trl", case(loss("hinge") | ONE_ROW | STILL)), run("sternpost", hinge, **ONE_ROW)
    sigmoid = case(loss("sigmoid") | ONE_ROW | STILL)
    weights = [
        one / other
        for one, other in zip(run("trl", sigmoid, use_weighting=True).losses, run("trl", sigmoid).losses, strict=True)
    ]
    assert weighted.losses == near([a * b for a, b in zip(plain.losses, weights, strict=True)], 1e-4)


def adapter_that_is_followed() -> None:
    options = {"sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 1.0}
    made = case(options, adapter="given", reference=None)
    with pytest.raises(NotImplementedError):
        run("trl", made)
    ours = run("sternpost", made)
    assert ours.losses == near([float(softplus(torch.tensor(0.0)))] * 3)  # the reference is the policy in every step
    assert run("sternpost", made, sync_ref_model=False).losses[1:] != near(ours.losses[1:], 1e-4)


EXPLAINED = {
    "`label_smoothing`": Difference(
        "`sigmoid`, `hinge` and `sigmoid_norm` take the mean over labels that are wrong with this probability "
        "(conservative DPO). TRL accepts the option there and ignores it.",
        smoothed_labels,
    ),
    "`bco_pair`": Difference(
        "Rewards are compared with their running mean over the steps before, as in the paper. TRL compares with zero. "
        "The first step agrees.",
        running_mean,
    ),
    "shared prompts in `num_tokens`": Difference(
        "A prompt that both answers share is computed and counted once. TRL computes and counts it twice; so do we "
        "with `padding_free=False`.",
        shared_prompts,
    ),
    "shared prompts and experts": Difference(
        "The load-balancing loss is that of the tokens that are routed, and a shared prompt is routed once. TRL routes "
        "it twice; so do we with `padding_free=False`.",
        routed_prompts,
    ),
    "uneven batches under accumulation": Difference(
        "Each pair of an optimizer step counts the same. TRL takes the mean of the means of the micro-batches, so that "
        "pairs of a smaller last one weigh more.",
        uneven_batches,
    ),
    "`sft` under accumulation": Difference(
        "The mean is over the tokens of an optimizer step. TRL takes the mean of the means of the micro-batches, which "
        "weighs tokens of short answers more.",
        token_means,
    ),
    "metrics of DPO under accumulation": Difference(
        "Entropy, accuracy of tokens and mean logits are means over the tokens of an optimizer step. TRL takes the "
        "mean of the means of the micro-batches. Loss and gradients agree.",
        metrics_of_accumulated_batches,
    ),
    "metrics of evaluation": Difference(
        "Metrics are means over all pairs or tokens, whatever the batch size. TRL takes the mean of the means of the "
        "batches, also where the last one is smaller. `eval_loss` agrees.",
        metrics_of_evaluation,
    ),
    "answers that begin a sequence": Difference(
        'Where `truncation_mode="keep_end"` leaves nothing of a prompt, the first token is never predicted, and does '
        "not count in the length of the answer that `sigmoid_norm` and `ipo` divide by. TRL counts it.",
        tokens_that_are_never_predicted,
    ),
    "equal answers": Difference(
        "Pairs whose answers are equal hold no preference; they are dropped, and the log says how many. TRL trains on "
        "them.",
        equal_answers,
    ),
    "`use_weighting` with `hinge` and `sft`": Difference(
        "The loss of each pair is multiplied by the weights of its answers, as every other loss. TRL fails.",
        weighted_losses,
    ),
    "`sync_ref_model` with an adapter": Difference(
        "The reference is a copy of the adapter, which follows the trained one. TRL refuses.",
        adapter_that_is_followed,
    ),
}
