"""Where the two libraries differ in reward modelling, and why. Each entry is a proof."""

from typing import Any

import pytest
from datasets import Dataset

from sternpost.reward.contract import METRICS

from ..case import ONE_ROW, PADDED, WHOLE, accumulated
from ..compare import METRIC_TOLERANCE, TOLERANCE, Difference, same
from ..rows import Rows, build
from .cases import EXTREMES, case
from .run import run, trainer

ROWS = "pair"
STILL: dict[str, Any] = {"learning_rate": 0.0}
"""Weights stay as they are."""


def near(expected: Any) -> Any:
    return pytest.approx(expected, rel=TOLERANCE)


def batches(rows: Rows) -> list[Rows]:
    return [rows[:5], rows[5:10], rows[10:]]


def shared_beginnings() -> None:
    made = case(rows="pair_tokenized")
    ours, peer = run("sternpost", made), run("trl", made)
    rows = build("pair_tokenized")
    assert same(ours, peer)
    twice = sum(len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows)
    shared = sum(beginning(row["chosen_ids"], row["rejected_ids"]) for row in rows)
    assert peer.metrics[-1]["num_tokens"] == twice
    assert ours.metrics[-1]["num_tokens"] == twice - shared
    assert run("sternpost", made, **PADDED).metrics[-1]["num_tokens"] == twice


def beginning(one: list[int], other: list[int]) -> int:
    """How many tokens two sequences share."""
    return next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def extremes() -> None:
    made = case()
    ours, peer = run("sternpost", made, **accumulated(4)), run("trl", made, **accumulated(4))
    together, singles = run("trl", made), run("trl", made, **ONE_ROW, **STILL, max_steps=4)
    assert same(ours, peer)
    for name in EXTREMES:
        assert ours.metrics[0][name] == pytest.approx(together.metrics[0][name], **METRIC_TOLERANCE)
        mean = sum(step[name] for step in singles.metrics) / 4
        assert peer.metrics[0][name] == pytest.approx(mean, **METRIC_TOLERANCE)
    assert ours.metrics[0]["max_reward"] > peer.metrics[0]["max_reward"]


def uneven_batches() -> None:
    made = case()
    uneven: dict[str, Any] = {"per_device_train_batch_size": 5, "gradient_accumulation_steps": 3, "max_steps": 1}
    ours, peer = run("sternpost", made, **uneven), run("trl", made, **uneven)
    assert same(ours, run("trl", made, **WHOLE, max_steps=1))
    parts = [run("trl", made, rows, **WHOLE, max_steps=1) for rows in batches(build(ROWS))]
    assert peer.losses[0] == near(sum(part.losses[0] for part in parts) / 3)
    assert not same(ours, peer)


def metrics_of_evaluation() -> None:
    rows = build(ROWS)
    ours, peer = evaluation("sternpost", rows, 5), evaluation("trl", rows, 5)
    together = evaluation("trl", rows, 12)
    names = [f"eval_{name}" for name in METRICS if name != "num_tokens"]
    assert {name: ours[name] for name in names} == pytest.approx(
        {name: together[name] for name in names}, **METRIC_TOLERANCE
    )
    parts = [evaluation("trl", part, 12) for part in batches(rows)]
    means = {name: sum(part[name] for part in parts) / 3 for name in names if name != "eval_loss"}
    assert {name: peer[name] for name in means} == pytest.approx(means, **METRIC_TOLERANCE)
    assert ours["eval_loss"] == near(peer["eval_loss"])
    assert ours["eval_margin"] != pytest.approx(peer["eval_margin"], rel=1e-3)


def evaluation(library: str, rows: Rows, size: int) -> dict[str, float]:
    return trainer(library, case({"per_device_eval_batch_size": size})).evaluate(Dataset.from_list(rows))


def equal_answers() -> None:
    rows = [row | ({"rejected": row["chosen"]} if at % 4 == 1 else {}) for at, row in enumerate(build(ROWS))]
    different = [row for row in rows if row["chosen"] != row["rejected"]]
    ours = run("sternpost", case(), rows)
    assert same(ours, run("trl", case(), different))
    assert not same(ours, run("trl", case(), rows))


def heads_of_adapters() -> None:
    made = case(adapter="new")
    told = run("trl", made)
    assert same(run("sternpost", made, names_head=False), told)
    untold = run("trl", made, names_head=False)
    assert not same(untold, told)
    head = trainer("trl", made, names_head=False).model.get_base_model().score.weight
    assert not head.requires_grad


EXPLAINED = {
    "shared beginnings in `num_tokens`": Difference(
        "What both sequences of a pair begin with is computed and counted once. TRL computes and counts it twice; so "
        "do we with `padding_free=False`.",
        shared_beginnings,
    ),
    "`min_reward` and `max_reward`": Difference(
        "They are the smallest and the largest reward since the last log line. TRL takes the mean of those of the "
        "micro-batches.",
        extremes,
    ),
    "uneven batches under accumulation": Difference(
        "Each pair of an optimizer step counts the same. TRL takes the mean of the means of the micro-batches, so that "
        "pairs of a smaller last one weigh more.",
        uneven_batches,
    ),
    "metrics of evaluation": Difference(
        "Metrics are means over all pairs, whatever the batch size. TRL takes the mean of the means of the batches, "
        "also where the last one is smaller. `eval_loss` agrees.",
        metrics_of_evaluation,
    ),
    "equal answers": Difference(
        "Pairs whose answers are equal hold no preference; they are dropped, and the log says how many. TRL trains on "
        "them.",
        equal_answers,
    ),
    "heads of adapters": Difference(
        "The head is trained with an adapter, since it starts from random weights. TRL freezes it unless "
        '`modules_to_save=["score"]` says otherwise.',
        heads_of_adapters,
    ),
}
