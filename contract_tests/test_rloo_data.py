"""What rows `RLOOTrainer` takes, and the micro-batches that `compute_loss` and scorers see."""

import math

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from sternpost import RLOOTrainer
from sternpost.rloo import contract

TOOL = {
    "type": "function",
    "function": {"name": "calculator", "description": "Evaluates.", "parameters": {"type": "object", "properties": {}}},
}
ASK = [{"role": "user", "content": "What is 6*7?"}]
CASES = {"text": ("prompt_only", {"prompt": "What is 6*7?\n"}), "messages": ("prompt_only", {"prompt": ASK})}
"""A row of every format of the contract, in every shape that it comes in."""


class Looking(RLOOTrainer):
    """Keeps the micro-batches that `compute_loss` gets."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self.seen = [*getattr(self, "seen", []), inputs.rollout]
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch=num_items_in_batch)


def rollouts(make, rows, **given):
    """The micro-batches of a short run."""
    trainer = make(rows, trainer_class=Looking, **given)
    trainer.train()
    return trainer.seen


@pytest.mark.parametrize("case", CASES)
def test_every_format_is_accepted(make_rloo_trainer, case):
    """L1. Rows of every format of the contract, with no other columns than it names, train with a finite loss."""
    row_format, row = CASES[case]
    assert set(row) == set(contract.ROWS[row_format])
    assert math.isfinite(make_rloo_trainer([row] * 3).train().training_loss)


def test_no_format_is_left_out():
    """L1. The rows that these tests try are of all the formats that the contract names, and of no others."""
    assert {row_format for row_format, _ in CASES.values()} == set(contract.ROWS)


def test_rows_that_are_refused(make_rloo_trainer, prompts):
    """L2. Rows without a prompt, with pictures, none at all and streams are refused by a ValueError that says which."""
    for rows, named in (
        ([{"extra": "x"}] * 4, "extra.*`prompt`"),
        ([row | {"images": [1]} for row in prompts], "`images`"),
        (Dataset.from_list(prompts).select([]), "no rows"),
        (Dataset.from_list(prompts).to_iterable_dataset(), "stream"),
    ):
        with pytest.raises(ValueError, match=named):
            make_rloo_trainer(rows)


def test_optional_columns_are_read(make_rloo_trainer, model_path):
    """L3. The optional columns of the contract reach the chat template."""
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    tokenizer.chat_template = "{{ mood }}" + tokenizer.chat_template
    given = {"tools": [TOOL], "chat_template_kwargs": {"mood": "calm"}}
    assert set(given) == set(contract.OPTIONAL_COLUMNS)
    seen = rollouts(make_rloo_trainer, [{"prompt": ASK} | given] * 3, processing_class=tokenizer)
    text = tokenizer.decode(seen[0].prompts[0])
    assert text.startswith("calm")
    assert "calculator" in text


def test_attributes_of_a_micro_batch(make_rloo_trainer, prompts):
    """L4. `inputs.rollout` of `compute_loss` has the attributes and shapes of the contract: completions of a prompt
    follow one another, learned are their tokens, and two completions have opposite advantages."""
    options = {"num_iterations": 2, "max_steps": 2}
    first, again = rollouts(make_rloo_trainer, prompts, **options)
    for rollout in (first, again):
        width = max(map(len, rollout.completions))
        sizes = {"N": (4,), "N C": (4, width)}
        for name, shape in contract.BATCH["rollout"].items():
            value = getattr(rollout, name)
            if shape.startswith("list"):
                assert len(value) == 4
                assert all(isinstance(token, int) for ids in value for token in ids)
            else:
                assert value.shape == sizes[shape.removesuffix(" or None")], name
        assert rollout.prompts[0] == rollout.prompts[1] != rollout.prompts[2] == rollout.prompts[3]
        assert [int(row.sum()) for row in rollout.mask] == [len(ids) for ids in rollout.completions]
        assert rollout.advantages[::2].tolist() == pytest.approx((-rollout.advantages[1::2]).tolist(), abs=1e-6)
    assert first.completions == again.completions


@pytest.mark.parametrize("multiple", [None, 16])
def test_batches_of_a_scorer(make_rloo_trainer, prompts, multiple):
    """L5. A scorer gets the model, a padded batch with the keys and shapes of the contract, and a request that holds
    the labels; `pad_to_multiple_of` fills it up."""
    seen = []

    def scorer(model, batch, request):
        seen.append(({name: tuple(value.shape) for name, value in batch.items()}, request.labels))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_rloo_trainer(prompts, scorer=scorer, pad_to_multiple_of=multiple).train()
    shapes, labels = seen[0]
    assert set(shapes) == set(contract.BATCH["padded"])
    assert set(shapes.values()) == {tuple(labels.shape)}
    assert labels.shape[0] == 4
    assert labels.shape[1] % (multiple or 1) == 0
