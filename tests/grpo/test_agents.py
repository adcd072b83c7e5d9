"""Training on conversations with tools and environments, some of which fail."""

import logging
from typing import Any

import pytest
from datasets import Dataset

from sternpost.generation.engine import InProcessEngine
from sternpost.grpo.config import GRPOConfig
from sternpost.grpo.trainer import GRPOTrainer
from tests import tiny
from tests.generation.talking import TOKENIZER, ask, call, script


class Opened(InProcessEngine):
    """The engine, whose first reply is a call, by each second conversation a wrong one; it counts tokens."""

    drawn = 0

    def sample(self, groups, sampling):
        found = self.replies(groups, sampling)
        self.drawn += sum(len(each.ids) for group in found for each in group)
        return found

    def replies(self, groups, sampling):
        if any("<|im_start|>tool" in TOKENIZER.decode(list(group.prompt)) for group in groups):
            return super().sample(groups, sampling)
        right, wrong = (script(call("guess", number=number)) for number in (1, -1))
        found = right.sample(groups, sampling), wrong.sample(groups, sampling)
        return [[pair[at % 2] for at, pair in enumerate(zip(*both, strict=True))] for both in zip(*found, strict=True)]


class Game:
    """Guessing; it cannot be reset when it is told so, and dislikes negative numbers."""

    refusals = 0

    def reset(self, secret: int) -> str:
        if type(self).refusals:
            type(self).refusals -= 1
            raise ConnectionError("no game today")
        self.secret, self.guesses = secret, []
        return f" Below {secret + 2}."

    def guess(self, number: int) -> str:
        """Makes a guess.

        Args:
            number: What.
        """
        if number < 0:
            raise ValueError("negative")
        self.guesses.append(number)
        return "yes" if number == self.secret else "no"

    def get_reward(self) -> float:
        return float(self.secret in self.guesses)


class Watched(GRPOTrainer):
    """Counts the tokens that are learned."""

    learned = 0

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.learned += int(inputs.rollout.mask.sum())
        return super().compute_loss(model, inputs, *args, **kwargs)


@pytest.fixture
def trainer(tmp_path):
    seen: list[dict[str, Any]] = []

    def watch(prompts, completions, completion_ids, environments, secret, **kwargs):
        made.ids += completion_ids
        seen.append({"prompts": prompts, "completions": completions, "environments": environments})
        assert [each.secret for each in environments] == secret
        return [0.0] * len(prompts)

    model = tiny.model()
    args = GRPOConfig(
        output_dir=str(tmp_path), use_cpu=True, report_to=[], save_strategy="no", max_steps=2, logging_steps=1,
        per_device_train_batch_size=4, num_generations=4, max_completion_length=160, learning_rate=1e-3,
    )  # fmt: skip
    rows = Dataset.from_list([ask("Guess.", secret=secret) for secret in (1, 2)])
    made = Watched(
        model, watch, args, rows, processing_class=TOKENIZER, environment_factory=Game, backend=Opened(model)
    )
    made.seen, made.ids = seen, []
    return made


def test_conversations_are_trained_on(trainer):
    """Calls are made, failures counted, environments judge; rewards see prompts and completions as messages."""
    trainer.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert len(lines) == 2
    for line in lines:
        assert line["tools/failure_frequency"] == pytest.approx(0.5)
        assert line["grad_norm"] > 0 or line["reward_std"] == 0
    assert sorted(line["rewards/Game/mean"] for line in lines) == [0, 0.5]
    for each in trainer.seen:
        assert all(prompt[-1]["content"].startswith("Guess. Below ") for prompt in each["prompts"])
        results = [turns[1]["content"] for turns in each["completions"]]
        assert results[1::2] == ["Error: ValueError: negative"] * 2
        assert set(results[::2]) <= {"yes", "no"}


def test_what_tools_say_is_not_learned(trainer):
    """The tokens that count are those that the sampler drew, which are not all."""
    trainer.train()
    assert trainer.learned == trainer.backend.drawn < sum(map(len, trainer.ids))


def test_an_environment_that_fails_does_not_end_the_run(trainer, caplog):
    """It is replaced, the training goes on, and the log tells of it; one that never works ends it with its name."""
    Game.refusals = 2
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.state.global_step == 2
    assert caplog.text.count("`Game` failed to reset for row") == 2
    Game.refusals = 10**6
    try:
        with pytest.raises(RuntimeError, match="`Game` failed to reset for row 0: ConnectionError: no game today"):
            trainer.train()
    finally:
        Game.refusals = 0


class Riddle:
    """Asks by itself."""

    def reset(self, **row) -> list[dict[str, str]] | str:
        return "2+3?"

    def hint(self) -> str:
        """Helps."""
        return "five"

    def get_reward(self) -> float:
        return 1.0


def test_environments_need_no_rows(tmp_path):
    """Without a data set they make the prompts, for as many steps as are asked for."""
    args = GRPOConfig(
        str(tmp_path), report_to="none", disable_tqdm=True, save_strategy="no", max_steps=2, num_generations=4,
        max_completion_length=20, per_device_train_batch_size=8, logging_steps=1, bf16=False,
    )  # fmt: skip
    trainer = GRPOTrainer(tiny.model(), args=args, processing_class=TOKENIZER, environment_factory=Riddle)
    trainer.train()
    assert [line["rewards/Riddle/mean"] for line in trainer.state.log_history if "loss" in line] == [1.0, 1.0]
    with pytest.raises(ValueError, match="`max_steps`"):
        GRPOTrainer(
            tiny.model(), args=GRPOConfig(str(tmp_path)), processing_class=TOKENIZER, environment_factory=Riddle
        )
