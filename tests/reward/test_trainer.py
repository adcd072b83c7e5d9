"""The reward trainer: what it learns, what it takes, what it writes, what it refuses."""

import json
import logging

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    TrainingArguments,
)

from sternpost import RewardConfig, RewardTrainer, demo
from sternpost.demo.evaluate import reward_accuracy
from sternpost.reward import contract

from .. import tiny
from . import runs
from .runs import lines, make, train


def test_it_learns_the_demo(tmp_path):
    """On the demo's pairs, a new head on the demo's model ranks at least 90% of the held-out pairs rightly."""
    args = RewardConfig(
        str(tmp_path), max_steps=25, per_device_train_batch_size=16, learning_rate=1e-3, report_to="none",
        disable_tqdm=True, save_strategy="no", dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = RewardTrainer(demo.path(), args, train_dataset=demo.load("preference"))
    trainer.train()
    held_out = trainer.evaluate(demo.load("held_out_preference"))
    assert held_out["eval_accuracy"] >= 0.9
    by_transformers = reward_accuracy(trainer.model, trainer.processing_class)
    assert by_transformers == pytest.approx(held_out["eval_accuracy"])


def test_log_lines_hold_the_promised_metrics(tmp_path):
    """Every metric of the contract, in training and in evaluation."""
    trainer = train(tmp_path, eval_dataset=Dataset.from_list(runs.pairs(4, seed=2)))
    for line in lines(trainer):
        assert set(contract.METRICS) <= set(line)
        assert line["min_reward"] <= line["mean_reward"] <= line["max_reward"]
    assert {f"eval_{name}" for name in contract.METRICS} <= set(trainer.evaluate())


def test_checkpoint_holds_the_promised_files(tmp_path):
    """And transformers loads it: the same rewards as in the trainer."""
    trainer = train(tmp_path, save_strategy="steps", save_steps=3)
    checkpoint = tmp_path / "checkpoint-3"
    assert {path.name for path in checkpoint.iterdir()} == set(contract.CHECKPOINT)
    loaded = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    batch = AutoTokenizer.from_pretrained(checkpoint)(["the ship", "one two three"], padding=True, return_tensors="pt")
    trainer.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).logits, trainer.model(**batch).logits)


def test_batches_are_the_promised_ones(tmp_path):
    """Keys of both layouts."""
    for free, layout in ((True, "shared"), (False, "padded")):
        trainer = make(tmp_path, runs.with_margins(runs.pairs()), padding_free=free)
        batch = next(iter(trainer.get_train_dataloader()))
        assert set(batch) == set(contract.BATCH[layout]) | {"margin"}


def test_path_of_a_language_model_gets_a_new_head(tmp_path, caplog):
    """Said once, without the table of missing weights; the body is the language model's."""
    tiny.model().save_pretrained(tmp_path / "lm")
    tiny.tokenizer().save_pretrained(tmp_path / "lm")
    rows = Dataset.from_list(runs.pairs())
    with caplog.at_level(logging.WARNING):
        trainer = RewardTrainer(str(tmp_path / "lm"), RewardConfig(str(tmp_path), **runs.QUIET), train_dataset=rows)
    assert caplog.text.count("head `score` of Qwen3ForSequenceClassification is new") == 1
    assert "LOAD REPORT" not in caplog.text
    for name, weight in tiny.model().model.named_parameters():
        torch.testing.assert_close(trainer.model.model.get_parameter(name), weight)
    trainer.train()
    trainer.save_model(str(tmp_path / "rm"))
    caplog.clear()
    again = RewardTrainer(str(tmp_path / "rm"), RewardConfig(str(tmp_path), **runs.QUIET), train_dataset=rows)
    assert "is new" not in caplog.text
    torch.testing.assert_close(again.model.score.weight, trainer.model.score.weight)


def test_new_heads_follow_the_seed(tmp_path):
    """A seed makes one head, whatever was drawn before."""
    tiny.model().save_pretrained(tmp_path / "lm")
    rows = Dataset.from_list(runs.pairs())

    def head(seed):
        args = RewardConfig(str(tmp_path), **runs.QUIET, seed=seed)
        made = RewardTrainer(str(tmp_path / "lm"), args, train_dataset=rows, processing_class=tiny.tokenizer())
        return made.model.score.weight

    torch.testing.assert_close(head(1), head(1), rtol=0, atol=0)
    assert not torch.equal(head(1), head(2))


def test_plain_training_arguments_keep_their_values(tmp_path):
    """Arguments of transformers are taken for a config."""
    args = TrainingArguments(str(tmp_path), report_to="none", learning_rate=0.5)
    rows = Dataset.from_list(runs.pairs())
    made = RewardTrainer(runs.reward_model(), args, train_dataset=rows, processing_class=tiny.tokenizer())
    assert isinstance(made.args, RewardConfig)
    assert made.args.learning_rate == 0.5


def test_compute_metrics_gets_the_rewards(tmp_path):
    """Of each pair both, the chosen one first, in either layout; the labels point at the better one."""
    seen = []

    def collect(prediction):
        seen.append(prediction)
        return {"wins": float((np.argmax(prediction.predictions, axis=1) == prediction.label_ids).mean())}

    rows = Dataset.from_list(runs.pairs(5))
    for free in (True, False):
        result = make(tmp_path, compute_metrics=collect, padding_free=free, per_device_eval_batch_size=2).evaluate(rows)
        assert result["eval_wins"] == pytest.approx(result["eval_accuracy"])
    assert seen[0].predictions.shape == (5, 2)
    np.testing.assert_allclose(seen[0].predictions, seen[1].predictions, rtol=1e-4, atol=1e-5)


def test_several_evaluation_sets(tmp_path):
    """A dictionary of them, each under its name."""
    sets = {"short": Dataset.from_list(runs.pairs(4, longest=3)), "long": Dataset.from_list(runs.pairs(4, seed=1))}
    result = make(tmp_path, eval_dataset=sets).evaluate()
    assert {"eval_short_accuracy", "eval_long_accuracy"} <= set(result)


def test_encoders_are_trained_padded(tmp_path, caplog):
    """A model with another kind of head trains too, each answer with a prompt of its own; the log says so."""
    sizes = dict(vocab_size=304, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**sizes, num_labels=1))
    trainer = make(tmp_path, model=model)
    assert "Each answer is computed with a prompt of its own, because BertForSequenceClassification" in caplog.text
    with torch.no_grad():
        chosen, rejected = model(**next(iter(trainer.get_train_dataloader()))).logits[:, 0].chunk(2)
    trainer.train()
    expected = -torch.nn.functional.logsigmoid(chosen - rejected).mean()
    assert lines(trainer)[0]["loss"] == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(ValueError, match="`padding_free=True` lays pairs end to end, but BertFor"):
        make(tmp_path, model=model, padding_free=True)


def test_dropout_is_off_unless_asked_for(tmp_path):
    """`disable_dropout` reaches every layer."""
    for disable, expected in ((True, {0.0}), (False, {0.3})):
        model = runs.reward_model()
        model.dropout = torch.nn.Dropout(0.3)
        made = make(tmp_path, model=model, disable_dropout=disable).model
        assert {module.p for module in made.modules() if isinstance(module, torch.nn.Dropout)} == expected


def test_end_token_and_chat_template_can_be_chosen(tmp_path):
    """`eos_token` ends texts; `chat_template_path` renders conversations, and both are saved with the tokenizer."""
    made = make(tmp_path, eos_token="<|im_start|>")
    end = made.processing_class.convert_tokens_to_ids("<|im_start|>")
    assert all(row["chosen_ids"][-1] == end for row in made.train_dataset)
    assert made.model.config.eos_token_id == end
    template = tmp_path / "plain.jinja"
    template.write_text("{% for message in messages %}{{ message['content'] }};{% endfor %}")
    made = make(tmp_path, runs.as_chats(runs.pairs(3)), chat_template_path=str(template))
    assert all(made.processing_class.decode(row["chosen_ids"]).count(";") == 2 for row in made.train_dataset)


def test_failed_saving_leaves_nothing(tmp_path, monkeypatch):
    """A checkpoint is whole or not there, and the error says what to do."""
    made = make(tmp_path, save_strategy="steps", save_steps=1)

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(made, "_save_optimizer_and_scheduler", full)
    with pytest.raises(OSError, match="Free space on the disk"):
        made.train()
    assert not list(tmp_path.glob("checkpoint-*"))


def test_state_of_a_checkpoint_is_written_last(tmp_path):
    """What was logged is in the checkpoint."""
    train(tmp_path, save_strategy="steps", save_steps=3)
    state = json.loads((tmp_path / "checkpoint-3" / "trainer_state.json").read_text())
    assert {"accuracy", "margin", "num_tokens"} <= set(state["log_history"][0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": lambda: runs.reward_model(num_labels=2)}, "`model` has `num_labels=2`, but a reward is one number"),
        ({"model": tiny.model}, "Qwen3ForCausalLM has no head that scores sequences"),
        ({"model_init_kwargs": {"revision": "x"}}, "`model` is a loaded Qwen3ForSequenceClassification"),
        ({"loss_fn": len, "center_rewards_coefficient": 0.1}, "`center_rewards_coefficient=0.1` would have no effect"),
        ({"padding_free": True, "data_collator": list}, "`padding_free=True` lays pairs end to end"),
        ({"eos_token": "<|nowhere|>"}, "`eos_token='<|nowhere|>'` is not in the tokenizer's vocabulary"),
        ({"eval_dataset": [1, 2]}, "the eval data set is a list"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused(tmp_path, given, message):
    """Before anything is trained, naming the argument and the way out."""
    given = {name: value() if name == "model" else value for name, value in given.items()}
    with pytest.raises((ValueError, TypeError), match=message.replace("|", r"\|")):
        make(tmp_path, **given)


def test_missing_rows_are_refused(tmp_path):
    """`train_dataset` is needed; evaluation alone needs it too."""
    with pytest.raises(ValueError, match="`train_dataset` is missing"):
        RewardTrainer(runs.reward_model(), RewardConfig(str(tmp_path)), processing_class=tiny.tokenizer())


def test_classifier_checkpoints_are_refused(tmp_path):
    """A checkpoint whose head has several labels is no reward model, and its head is not thrown away silently."""
    runs.reward_model(num_labels=3).save_pretrained(tmp_path / "classifier")
    with pytest.raises(ValueError, match="has a head for several labels"):
        make(tmp_path, model=str(tmp_path / "classifier"))
