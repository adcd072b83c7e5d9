"""The names in the log of GRPO: what dashboards, callbacks and sweeps read by string."""

import pytest
import torch
from transformers import AutoTokenizer, TrainerCallback

from sternpost.grpo import contract

TRAIN = {"grad_norm", "learning_rate", "epoch", "step"}
"""What transformers adds to a training line besides the loss; `step` in the history only."""
EVAL = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "epoch", "step"}
"""What transformers adds to an evaluation line."""

CLIPPING = {name for name in contract.METRICS if name.startswith("clip_ratio/")}
WEIGHTS = {name for name in contract.METRICS if name.startswith("sampling/importance_sampling_ratio/")}
ENDED = {name for name in contract.METRICS if name.endswith("terminated_length")}


def look() -> str:
    """Looks around."""
    return "nothing"


def own_rollout(prompts, trainer):
    ids = [trainer.processing_class(prompt).input_ids for prompt in prompts]
    drawn = [[5 + at, trainer.processing_class.eos_token_id] for at in range(len(prompts))]
    return {"prompt_ids": ids, "completion_ids": drawn, "logprobs": [[-1.0, -1.0]] * len(prompts)}


def constant(completions, **kwargs):
    return [1.0] * len(completions)


NEEDED = {
    "kl": ({"beta": 0.1}, {"kl"}),
    "cispo": ({"loss_type": "cispo"}, {"cispo_clip_ratio"}),
    "vespo": ({"loss_type": "vespo"}, {"vespo/phi_seq_mean"}),
    "entropy bonus": ({"entropy_coef": 0.01}, {"policy_loss", "entropy_coef"}),
    "roll-outs": ({"rollout_func": own_rollout}, WEIGHTS),
    "dynamic sampling": ({"dynamic_sampling_rounds": 1, "reward_funcs": constant}, {"resampled_groups"}),
    "replay": ({"replay_groups": 2}, {"replayed_ratio"}),
    "tools": ({"tools": [look]}, {"tools/call_frequency", "tools/failure_frequency"}),
    "experts": ({"router_aux_loss_coef": 0.01}, {"aux_loss"}),
}
"""Metrics that an option, or a kind of model, adds."""
ADDED = set().union(*(names for _, names in NEEDED.values()))


def named(names, reward="spread"):
    return {name.replace("{reward}", reward) for name in names}


ALWAYS = named(set(contract.METRICS) - ADDED)


@pytest.fixture
def history(make_grpo_trainer, prompts):
    """The log of a run of two steps with an evaluation after each."""
    trainer = make_grpo_trainer(prompts, prompts[:3], max_steps=2, eval_strategy="steps", eval_steps=1)
    trainer.train()
    return trainer.state.log_history


def test_names_of_training_lines(history):
    """G8. A training line has the metrics of the contract and transformers' own, by exactly these names, where
    `{reward}` is the name of each reward; smallest and largest lengths of completions that ended only if there are any.
    """
    lines = [line for line in history if "loss" in line]
    assert len(lines) == 2
    for line in lines:
        assert set(line) | ENDED == ALWAYS | TRAIN


def test_lengths_of_completions_that_ended(make_grpo_trainer, prompts):
    """G8. Where completions ended by themselves there are all the metrics of their lengths."""
    trainer = make_grpo_trainer(prompts, rollout_func=own_rollout)
    trainer.train()
    line = trainer.state.log_history[0]
    assert {line[name] for name in ENDED} == {2}
    assert line["completions/clipped_ratio"] == 0


def test_names_of_evaluation_lines(history):
    """G9. An evaluation line has them with the prefix `eval_`, but for the time of a step and the tokens of the run."""
    lines = [line for line in history if "eval_loss" in line]
    assert len(lines) == 2
    for line in lines:
        expected = {f"eval_{name}" for name in ALWAYS - {"step_time", "num_tokens"}}
        assert set(line) | {f"eval_{name}" for name in ENDED} == expected | EVAL


@pytest.mark.parametrize("case", NEEDED)
def test_names_that_options_add(make_grpo_trainer, prompts, model_path, mixture_of_experts, case):
    """G10. What an option adds to the log is there with it, and not without."""
    options, names = NEEDED[case]
    if case == "experts":
        options = options | {
            "model": mixture_of_experts, "processing_class": AutoTokenizer.from_pretrained(model_path)
        }  # fmt: skip
    if case == "tools":
        prompts = [{"prompt": [{"role": "user", "content": row["prompt"]}]} for row in prompts]
    trainer = make_grpo_trainer(prompts, **options)
    trainer.train()
    line = set(trainer.state.log_history[0])
    assert line & ADDED == names
    assert line <= named(contract.METRICS) | named(contract.METRICS, "constant") | TRAIN


def test_meaning(make_grpo_trainer, prompts):
    """G11. `reward` and `reward_std` are of all completions, `frac_reward_zero_std` is a share of the prompts; lengths
    are in tokens; `num_tokens` counts the prompt of a group once, since the run began."""
    given = []

    def rising(prompts, completion_ids, **kwargs):
        given.append((prompts, [len(ids) for ids in completion_ids]))
        return [1.0, 1.0, 2.0, 4.0]

    trainer = make_grpo_trainer(prompts, reward_funcs=rising, max_steps=2)
    trainer.train()
    tokens = 0
    for line, (asked, lengths) in zip([line for line in trainer.state.log_history if "loss" in line], given):
        assert line["reward"] == line["rewards/rising/mean"] == 2
        assert line["reward_std"] == line["rewards/rising/std"] == pytest.approx(torch.tensor([1, 1, 2, 4.0]).std())
        assert line["frac_reward_zero_std"] == 0.5
        assert line["completions/mean_length"] == sum(lengths) / 4
        assert (line["completions/min_length"], line["completions/max_length"]) == (min(lengths), max(lengths))
        assert 0 <= line["completions/clipped_ratio"] <= 1
        assert line["entropy"] > 0
        tokens += sum(len(trainer.processing_class(asked[at]).input_ids) for at in (0, 2)) + sum(lengths)
        assert line["num_tokens"] == tokens


def test_callbacks_see_the_metrics(make_grpo_trainer, prompts):
    """G12. A callback's `on_log` gets the metrics of the line."""
    lines = []

    class Reading(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            lines.append(logs)

    make_grpo_trainer(prompts, callbacks=[Reading()]).train()
    assert set(lines[0]) >= ALWAYS - ENDED
