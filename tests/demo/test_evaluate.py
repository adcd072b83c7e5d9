"""Held-out evaluation: what counts as right, and that batching does not change an answer."""

import pytest
import torch

from sternpost import demo
from sternpost.demo.evaluate import Evaluation, Sample, answer_logps, evaluate, generate, is_right, ranked


@pytest.fixture(scope="module")
def base():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(demo.path()), AutoTokenizer.from_pretrained(demo.path())


@pytest.mark.parametrize(
    ("completion", "right"),
    [
        ("12", True),
        ("7+5=12\n12", True),
        ("12\n\n", True),
        (" 12 ", True),
        ("12\n13", False),
        ("112", False),
        ("", False),
    ],
)
def test_the_last_line_is_the_answer(completion, right):
    """Steps before it are free; anything else in the last line is not."""
    assert is_right(completion, "12") is right


def test_accuracy_in_all_and_by_task():
    """Plain averages."""
    marks = [("a", True), ("a", False), ("b", True), ("a", True)]
    evaluation = Evaluation(tuple(Sample(task, "", "", "", right) for task, right in marks))
    assert evaluation.accuracy == 0.75
    assert evaluation.by_task == {"a": 2 / 3, "b": 1.0}


def test_the_base_model_cannot_answer_yet(base):
    """Below one in five on held-out questions, and evaluation leaves the model in the mode it was in."""
    model, tokenizer = base
    model.train()
    evaluation = evaluate(model, tokenizer)
    assert model.training
    assert len(evaluation.samples) == len(demo.load("held_out"))
    assert evaluation.accuracy < 0.2


def test_batched_answers_are_those_of_each_alone(base):
    """Padding on the left and sorting by length change no answer."""
    model, tokenizer = base
    prompts = [row["prompt"] for row in demo.load("held_out").select(range(8))]
    torch.manual_seed(0)
    together = generate(model.eval(), tokenizer, prompts, batch_size=3, max_new_tokens=8)
    assert together == [generate(model, tokenizer, [prompt], max_new_tokens=8)[0] for prompt in prompts]


def test_answers_are_scored_by_themselves(base):
    """The log-probability of an answer's tokens after its prompt, whatever else is in the batch."""
    model, tokenizer = base
    model.eval()
    rows = demo.load("held_out_preference").select(range(5)).to_list()
    pairs = [(row["prompt"], row["chosen"]) for row in rows]
    together = answer_logps(model, tokenizer, pairs, batch_size=3)
    for (prompt, answer), found in zip(pairs, together, strict=True):
        start = len(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False))
        ids = torch.tensor([tokenizer.apply_chat_template(prompt + answer, return_dict=False)])
        with torch.no_grad():
            logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])
        assert found == pytest.approx(logps[start - 1 :].sum().item(), rel=1e-4)


def test_ranking_counts_pairs():
    """A tie is not ranked rightly."""
    assert ranked([1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 1.0, 1.0]) == 0.5
