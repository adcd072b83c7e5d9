"""BCO's running mean: of all optimizer steps before the current one."""

import pytest
import torch
from accelerate import Accelerator

from sternpost.dpo.shift import RewardShift

from . import naive, runs
from .runs import lines, make, train


def test_mean_of_closed_steps():
    """A step counts once it is closed, and each of its pairs the same."""
    shift, accelerator = RewardShift(), Accelerator(cpu=True)
    assert shift.value == 0
    shift.add(torch.tensor(2.0), 3)
    shift.add(torch.tensor(8.0), 1)
    assert shift.value == 0
    shift.close_step(accelerator)
    assert shift.value == pytest.approx((2 * 3 + 8) / 4)
    shift.add(torch.tensor(-1.0), 4)
    shift.close_step(accelerator)
    assert shift.value == pytest.approx((2 * 3 + 8 - 4) / 8)
    shift.close_step(accelerator)
    assert shift.value == pytest.approx((2 * 3 + 8 - 4) / 8)


def test_run_uses_the_mean_of_the_steps_before(tmp_path):
    """The loss of a step is the formula with the mean reward of all pairs before it; evaluation changes nothing."""
    options = {"loss_type": "bco_pair", "learning_rate": 0.0, "max_steps": 3}
    options |= {"eval_strategy": "steps", "eval_steps": 1}
    trainer = train(
        tmp_path, ref_model=runs.policy(7), eval_dataset=make(tmp_path, runs.pairs(3)).train_dataset, **options
    )
    seen, rows = [], trainer.train_dataset.to_list()
    for step, line in enumerate(lines(trainer)):
        shift = sum(seen) / len(seen) if seen else 0.0
        losses = []
        for row in rows[4 * step : 4 * step + 4]:
            chosen, rejected = (reward(row, side) for side in ("chosen_ids", "rejected_ids"))
            losses.append(-log_sigmoid(chosen - shift) - log_sigmoid(shift - rejected))
            seen += [chosen, rejected]
        assert line["loss"] == pytest.approx(sum(losses) / 4, rel=1e-5)
    assert float(trainer.reward_shift.value) == pytest.approx(sum(seen) / len(seen), rel=1e-5)


def reward(row, side: str) -> float:
    logps = [naive.answer(runs.policy(seed), row["prompt_ids"], row[side])["logp"] for seed in (0, 7)]
    return runs.QUIET["beta"] * (logps[0] - logps[1])


def log_sigmoid(x: float) -> float:
    return float(torch.nn.functional.logsigmoid(torch.tensor(x, dtype=torch.float64)))
