"""What rows `GRPOTrainer` takes, what is made of them, and the micro-batches that `compute_loss` and scorers see."""

import math

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from sternpost import GRPOTrainer
from sternpost.grpo import contract

TOOL = {
    "type": "function",
    "function": {"name": "calculator", "description": "Evaluates.", "parameters": {"type": "object", "properties": {}}},
}
ASK = [{"role": "user", "content": "What is 6*7?"}]
CASES = {"text": ("prompt_only", {"prompt": "What is 6*7?\n"}), "messages": ("prompt_only", {"prompt": ASK})}
"""A row of every format of the contract, in every shape that it comes in."""


class Looking(GRPOTrainer):
    """Keeps the micro-batches that `compute_loss` gets."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self.seen = [*getattr(self, "seen", []), inputs.rollout]
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch=num_items_in_batch)


def rollouts(make, rows, **given):
    """The micro-batches of a short run."""
    trainer = make(rows, trainer_class=Looking, **given)
    trainer.train()
    return trainer.seen


def read(make, rows, model_path, **given):
    """The text of the first prompt."""
    return AutoTokenizer.from_pretrained(model_path).decode(rollouts(make, rows, **given)[0].prompts[0])


@pytest.mark.parametrize("case", CASES)
def test_every_format_is_accepted(make_grpo_trainer, case):
    """G1. Rows of every format of the contract, with no other columns than it names, train with a finite loss."""
    row_format, row = CASES[case]
    assert set(row) == set(contract.ROWS[row_format])
    assert math.isfinite(make_grpo_trainer([row] * 3).train().training_loss)


def test_no_format_is_left_out():
    """G1. The rows that these tests try are of all the formats that the contract names, and of no others."""
    assert {row_format for row_format, _ in CASES.values()} == set(contract.ROWS)


def test_rows_that_are_refused(make_grpo_trainer, prompts):
    """G2. Rows without a prompt, with pictures, none at all and streams are refused by a ValueError that says which."""
    for rows, named in (
        ([{"extra": "x"}] * 4, "extra.*`prompt`"),
        ([row | {"images": [1]} for row in prompts], "`images`"),
        (Dataset.from_list(prompts).select([]), "no rows"),
        (Dataset.from_list(prompts).to_iterable_dataset(), "stream"),
    ):
        with pytest.raises(ValueError, match=named):
            make_grpo_trainer(rows)


# ---- Columns that are read when they are there. Each function says what shows that it is.


def reads_tools(make, model_path):
    assert "calculator" in read(make, [{"prompt": ASK, "tools": [TOOL]}] * 3, model_path)


def reads_chat_template_kwargs(make, model_path):
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    tokenizer.chat_template = "{{ mood }}" + tokenizer.chat_template
    rows = [{"prompt": ASK, "chat_template_kwargs": {"mood": "calm"}}] * 3
    assert read(make, rows, model_path, processing_class=tokenizer).startswith("calm")


class Quiet:
    said = ""

    def reset(self, **row):
        return self.said

    def look(self) -> str:
        """Looks around."""
        return "nothing"


class Loud(Quiet):
    said = " Loudly!"


def reads_environment(make, model_path):
    rows = [{"prompt": ASK, "environment": name} for name in ("loud", "quiet")]
    seen = rollouts(make, rows, environment_factory={"loud": Loud, "quiet": Quiet}, shuffle_dataset=False)
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    assert ["Loudly!" in tokenizer.decode(each) for each in seen[0].prompts] == [True, True, False, False]


READERS = {
    "tools": reads_tools,
    "chat_template_kwargs": reads_chat_template_kwargs,
    "environment": reads_environment,
}


@pytest.mark.parametrize("column", READERS)
def test_optional_columns_are_read(make_grpo_trainer, model_path, column):
    """G3. Each optional column of the contract is read when it is there."""
    assert column in contract.OPTIONAL_COLUMNS
    READERS[column](make_grpo_trainer, model_path)


def test_no_optional_column_is_left_out():
    """G3. The columns that these tests try are all that the contract names."""
    assert set(READERS) == set(contract.OPTIONAL_COLUMNS)


# ---- Micro-batches


def test_attributes_of_a_micro_batch(make_grpo_trainer, prompts):
    """G4. `inputs.rollout` of `compute_loss` has the attributes and shapes of the contract: completions of a prompt
    follow one another, and learned are their tokens."""
    options = {"beta": 0.1, "num_iterations": 2, "replay_groups": 2, "max_steps": 2}
    first, again = rollouts(make_grpo_trainer, prompts, **options)
    shapes = contract.BATCH["rollout"]
    for rollout in (first, again):
        width = max(map(len, rollout.completions))
        sizes = {"N": (4,), "N C": (4, width), "N 1": (4, 1)}
        for name, shape in shapes.items():
            value = getattr(rollout, name)
            if shape.startswith("list"):
                assert len(value) == 4
                assert all(isinstance(token, int) for ids in value for token in ids)
            else:
                assert value.shape == sizes[shape.removesuffix(" or None")], name
        assert rollout.prompts[0] == rollout.prompts[1] != rollout.prompts[2] == rollout.prompts[3]
        assert [int(row.sum()) for row in rollout.mask] == [len(ids) for ids in rollout.completions]
    assert first.completions == again.completions


def test_what_is_not_needed_is_none(make_grpo_trainer, prompts):
    """G4. On policy there are no old log-probabilities, with `beta=0` none of a reference."""
    (rollout,) = rollouts(make_grpo_trainer, prompts)
    assert rollout.old_logps is rollout.ref_logps is rollout.replayed is None


@pytest.mark.parametrize("multiple", [None, 16])
def test_batches_of_a_scorer(make_grpo_trainer, prompts, multiple):
    """G5. A scorer gets the model, a padded batch with the keys and shapes of the contract, and a request that holds
    the labels; `pad_to_multiple_of` fills it up."""
    seen = []

    def scorer(model, batch, request):
        seen.append(({name: tuple(value.shape) for name, value in batch.items()}, request.labels))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_grpo_trainer(prompts, scorer=scorer, pad_to_multiple_of=multiple).train()
    shapes, labels = seen[0]
    assert set(shapes) == set(contract.BATCH["padded"])
    assert set(shapes.values()) == {tuple(labels.shape)}
    assert labels.shape[0] == 4
    assert labels.shape[1] % (multiple or 1) == 0


def test_truncated_completions_are_masked(make_grpo_trainer, prompts):
    """G6. With `mask_truncated_completions` nothing is learned from completions that were cut off."""
    (rollout,) = rollouts(make_grpo_trainer, prompts, mask_truncated_completions=True, max_completion_length=1)
    assert not torch.any(rollout.mask)


def test_generations_and_steps(make_grpo_trainer, prompts):
    """G7. `steps_per_generation`, or `generation_batch_size`, says how many micro-batches a generation makes, and
    `num_iterations` how often each is learned from."""
    for options in ({"steps_per_generation": 3}, {"generation_batch_size": 12}):
        seen = rollouts(make_grpo_trainer, prompts, max_steps=6, num_iterations=2, **options)
        assert [each.completions for each in seen[:3]] == [each.completions for each in seen[3:]]
        assert len({tuple(each.prompts[at]) for each in seen for at in range(4)}) == 6
