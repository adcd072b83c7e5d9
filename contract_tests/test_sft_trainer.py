"""`SFTTrainer` as it is constructed, subclassed, extended and saved."""

import inspect
import json
import math
from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from sternpost import SFTConfig, SFTTrainer
from sternpost.sft import contract

calls = Counter()


class Overriding(SFTTrainer):
    """Overrides every hook with the parameters that its documentation gives, and counts the calls."""

    def prepare_dataset(self, dataset, processing_class, args, packing, formatting_func, dataset_name):
        calls["prepare_dataset"] += 1
        return super().prepare_dataset(dataset, processing_class, args, packing, formatting_func, dataset_name)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        calls["compute_loss"] += 1
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch=num_items_in_batch)

    def training_step(self, model, inputs, num_items_in_batch=None):
        calls["training_step"] += 1
        return super().training_step(model, inputs, num_items_in_batch)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        calls["prediction_step"] += 1
        return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)

    def evaluation_loop(
        self, dataloader, description, prediction_loss_only=None, ignore_keys=None, metric_key_prefix="eval"
    ):
        calls["evaluation_loop"] += 1
        return super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)

    def log(self, logs, start_time=None):
        calls["log"] += 1
        super().log(logs, start_time)


# ---- Construction


def test_order_of_arguments(golden):
    """S19. The arguments of `SFTTrainer` come in the order of the golden file, and so may be passed by position."""
    parameters = inspect.signature(SFTTrainer).parameters.values()
    golden(
        "sft_trainer_arguments",
        {
            "by position": [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD],
            "by keyword only": [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY],
        },
    )


def test_arguments_by_position(tmp_path, model_path, conversations):
    """S19. Model, options, collator, both data sets and tokenizer are taken by position, as objects."""
    from datasets import Dataset

    rows = Dataset.from_list(conversations)
    args = SFTConfig(str(tmp_path), use_cpu=True, report_to="none")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(model_path), AutoTokenizer.from_pretrained(model_path)
    trainer = SFTTrainer(model, args, None, rows, rows, tokenizer)
    assert trainer.model is model
    assert trainer.args is args
    assert trainer.processing_class is tokenizer
    assert trainer.eval_dataset is not None


def test_bases():
    """S20. `SFTTrainer` is a `transformers.Trainer` and `SFTConfig` a `transformers.TrainingArguments`."""
    assert issubclass(SFTTrainer, Trainer)
    assert issubclass(SFTConfig, TrainingArguments)


# ---- Hooks and seams


def test_hooks_are_called(make_trainer, conversations):
    """S21. A subclass overrides the hooks of the contract with their documented parameters, and each is called."""
    assert set(contract.HOOKS) == {name for name in vars(Overriding) if not name.startswith("__")}
    calls.clear()
    trainer = make_trainer(
        conversations, conversations[:3], trainer_class=Overriding, max_steps=2, eval_strategy="steps", eval_steps=2
    )
    trainer.train()
    assert calls == {
        "prepare_dataset": 2, "compute_loss": 3, "training_step": 2, "prediction_step": 1, "evaluation_loop": 1,
        "log": 4,
    }  # fmt: skip


def test_hooks_see_labels(make_trainer, conversations):
    """S21. In `compute_loss` the labels are in `inputs["labels"]`, and the loss returned is what is trained on."""
    seen = []

    class Weighing(SFTTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            seen.append(inputs["labels"].shape == inputs["input_ids"].shape)
            return 0 * super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    trainer = make_trainer(conversations, trainer_class=Weighing)
    assert trainer.train().training_loss == 0
    assert seen == [True]


def test_compute_loss_returns_outputs(make_trainer, conversations):
    """S21. With `return_outputs=True`, `compute_loss` returns the loss and the model's outputs with their logits."""
    trainer = make_trainer(conversations)
    batch = next(iter(trainer.get_train_dataloader()))
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    assert math.isfinite(loss.item())
    assert outputs.logits.shape[:2] == batch["input_ids"].shape


def test_loss_fn_replaces_the_loss(make_trainer, conversations):
    """S22. `loss_fn` gets the log-probabilities of the learned tokens and returns the loss of each."""
    usual = make_trainer(conversations[:3]).train().training_loss
    doubled = make_trainer(conversations[:3], loss_fn=lambda logps: -2 * logps).train().training_loss
    assert doubled == pytest.approx(2 * usual, rel=1e-5)


def test_scorer_replaces_the_forward_pass(make_trainer, conversations):
    """S22. `scorer` gets the model, the batch without its labels, and a request that holds the labels."""
    seen = []

    def scorer(model, batch, request):
        seen.append((sorted(batch), request.labels.shape == batch["input_ids"].shape))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_trainer(conversations, scorer=scorer).train()
    assert seen == [(["attention_mask", "input_ids"], True)]


def test_compute_loss_func(make_trainer, conversations):
    """S22. `compute_loss_func` gets outputs with logits, the labels and the count of learned tokens."""

    def summed(outputs, labels, num_items_in_batch=None):
        assert outputs.logits.shape[:2] == labels.shape
        return outputs.logits.sum() * 0 + num_items_in_batch

    trainer = make_trainer(conversations[:3], compute_loss_func=summed)
    learned = sum(len(row) - 1 for row in trainer.train_dataset["input_ids"])
    assert trainer.train().training_loss == learned


def test_callbacks_see_the_metrics(make_trainer, conversations):
    """S23. A callback's `on_log` gets the metrics of the line."""
    lines = []

    class Reading(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            lines.append(logs)

    make_trainer(conversations, callbacks=[Reading()]).train()
    assert set(contract.METRICS) - {"aux_loss"} <= set(lines[0])


def test_adapters(make_trainer, conversations):
    """S24. With `peft_config` only the adapter is trained, and only the adapter is saved."""
    peft = pytest.importorskip("peft")
    trainer = make_trainer(
        conversations, peft_config=peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")
    )
    trained = [name for name, weight in trainer.model.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    trainer.train()
    trainer.save_model()
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names_in(trainer.args.output_dir)
    assert "model.safetensors" not in names_in(trainer.args.output_dir)


# ---- Files


def names_in(directory):
    return {path.name for path in Path(directory).iterdir()}


def test_files_of_a_checkpoint(make_trainer, conversations, tmp_path):
    """S25. A checkpoint lies in `checkpoint-<step>` and consists of the files of the contract, no fewer and no more."""
    make_trainer(conversations, max_steps=2, save_strategy="steps", save_steps=1).train()
    assert names_in(tmp_path / "run") == {"checkpoint-1", "checkpoint-2"}
    for step in (1, 2):
        assert names_in(tmp_path / "run" / f"checkpoint-{step}") == set(contract.CHECKPOINT)


def test_saved_model_is_a_plain_one(make_trainer, conversations, tmp_path):
    """S26. What `save_model` writes is loaded by transformers alone, model and tokenizer."""
    trainer = make_trainer(conversations, learning_rate=1e-2)
    trainer.train()
    trainer.save_model()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    ours = trainer.model.state_dict()
    assert all((weight == ours[name]).all() for name, weight in loaded.state_dict().items())
    assert AutoTokenizer.from_pretrained(tmp_path / "run").chat_template == trainer.processing_class.chat_template


@pytest.mark.parametrize("resume", [True, "checkpoint-2"])
def test_resuming_goes_on(make_trainer, conversations, tmp_path, resume):
    """S27. A run resumed by `True` or from a named checkpoint has the losses and the `num_tokens` of one that was never
    interrupted."""
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    whole = make_trainer(conversations, **options)
    whole.train()
    (tmp_path / "run" / "checkpoint-4").rename(tmp_path / "put aside")
    resumed = make_trainer(conversations, **options)
    resumed.train(resume_from_checkpoint=resume if resume is True else str(tmp_path / "run" / resume))
    wanted = [(line["step"], line["loss"], line["num_tokens"]) for line in whole.state.log_history if "loss" in line]
    assert [
        (line["step"], line["loss"], line["num_tokens"]) for line in resumed.state.log_history if "loss" in line
    ] == wanted
    assert [step for step, _, _ in wanted] == [1, 2, 3, 4]
    state = json.loads((tmp_path / "run" / "checkpoint-4" / "trainer_state.json").read_text())
    assert state["num_input_tokens_seen"] == wanted[-1][2]
