"""`DPOTrainer` as it is constructed, subclassed, extended and saved, and what it compares with."""

import inspect
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from sternpost import DPOConfig, DPOTrainer
from sternpost.dpo import contract

calls = Counter()


class Overriding(DPOTrainer):
    """Overrides every hook with the parameters that its documentation gives, and counts the calls."""

    def prepare_dataset(self, dataset, processing_class, args, dataset_name):
        calls["prepare_dataset"] += 1
        return super().prepare_dataset(dataset, processing_class, args, dataset_name)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        calls["compute_loss"] += 1
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch=num_items_in_batch)

    def reference_logps(self, model, inputs, answers):
        calls["reference_logps"] += 1
        return super().reference_logps(model, inputs, answers)

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


def adapter_config(**given):
    peft = pytest.importorskip("peft")
    return peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **given)


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def names_in(directory):
    return {path.name for path in Path(directory).iterdir()}


# ---- Construction


def test_order_of_arguments(golden):
    """D21. The arguments of `DPOTrainer` come in the order of the golden file, and so may be passed by position."""
    parameters = inspect.signature(DPOTrainer).parameters.values()
    golden(
        "dpo_trainer_arguments",
        {
            "by position": [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD],
            "by keyword only": [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY],
        },
    )


def test_arguments_by_position(tmp_path, model_path, pairs):
    """D21. Model, reference, options, collator, both data sets and tokenizer are taken by position, as objects."""
    from datasets import Dataset

    rows = Dataset.from_list(pairs)
    args = DPOConfig(str(tmp_path), use_cpu=True, report_to="none")
    model, reference = (AutoModelForCausalLM.from_pretrained(model_path) for _ in range(2))
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    trainer = DPOTrainer(model, reference, args, None, rows, rows, tokenizer)
    assert trainer.model is model
    assert trainer.ref_model is reference
    assert trainer.args is args
    assert trainer.processing_class is tokenizer
    assert trainer.eval_dataset is not None


def test_bases():
    """D22. `DPOTrainer` is a `transformers.Trainer` and `DPOConfig` a `transformers.TrainingArguments`."""
    assert issubclass(DPOTrainer, Trainer)
    assert issubclass(DPOConfig, TrainingArguments)


# ---- Hooks and seams


def test_hooks_are_called(make_dpo_trainer, pairs):
    """D23. A subclass overrides the hooks of the contract with their documented parameters, and each is called."""
    assert set(contract.HOOKS) == {name for name in vars(Overriding) if not name.startswith("__")}
    calls.clear()
    trainer = make_dpo_trainer(
        pairs, pairs[:3], trainer_class=Overriding, max_steps=2, eval_strategy="steps", eval_steps=2
    )
    trainer.train()
    assert calls == {
        "prepare_dataset": 2, "compute_loss": 3, "reference_logps": 3, "training_step": 2, "prediction_step": 1,
        "evaluation_loop": 1, "log": 4,
    }  # fmt: skip


def test_compute_loss_returns_outputs(make_dpo_trainer, pairs):
    """D23. With `return_outputs=True`, `compute_loss` returns the loss and the model's outputs with their logits."""
    trainer = make_dpo_trainer(pairs)
    batch = next(iter(trainer.get_train_dataloader()))
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    assert math.isfinite(loss.item())
    assert outputs.logits.shape[:2] == batch["input_ids"].shape


def test_reference_logps_are_per_answer(make_dpo_trainer, pairs):
    """D23. `reference_logps` returns one log-probability per answer, chosen ones first; rewards are relative to it."""

    class Shifted(DPOTrainer):
        def reference_logps(self, model, inputs, answers):
            values = super().reference_logps(model, inputs, answers)
            assert values.shape == (6,)
            return values - torch.tensor([1.0, 1.0, 1.0, 3.0, 3.0, 3.0])

    trainer = make_dpo_trainer(pairs, trainer_class=Shifted, beta=1.0)
    trainer.train()
    line = trainer.state.log_history[0]
    assert (line["rewards/chosen"], line["rewards/rejected"]) == pytest.approx((1, 3), rel=1e-4)


def test_loss_fn_replaces_the_loss(make_dpo_trainer, pairs):
    """D24. `loss_fn` gets the pairs, with the log-probabilities of policy and reference, and returns a loss of each."""

    def contrast(batch):
        assert batch.chosen.shape == batch.rejected.shape == batch.ref_chosen.shape == batch.ref_rejected.shape == (3,)
        return 0 * batch.chosen + 7

    assert make_dpo_trainer(pairs[:3], loss_fn=contrast).train().training_loss == pytest.approx(7)


def test_scorer_replaces_the_forward_pass(make_dpo_trainer, pairs):
    """D24. `scorer` gets the model, a padded batch and a request that holds the labels, for policy and reference."""
    seen = []

    def scorer(model, batch, request):
        seen.append((sorted(batch), request.labels.shape == batch["input_ids"].shape))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_dpo_trainer(pairs, scorer=scorer).train()
    assert seen == [(["attention_mask", "input_ids"], True)]


def test_compute_metrics_sees_pairs(make_dpo_trainer, pairs):
    """D24. `compute_metrics` gets logits `[P, S, 2, V]` and labels `[P, S, 2]` that are -100 outside the answers."""
    shapes = []

    def metrics(prediction):
        shapes.append((prediction.predictions.shape[:3], prediction.label_ids.shape))
        return {"learned": int((prediction.label_ids != -100).sum())}

    trainer = make_dpo_trainer(pairs, pairs[:5], compute_metrics=metrics)
    answers = sum(len(ids) for name in ("chosen_ids", "rejected_ids") for ids in trainer.eval_dataset[name])
    assert trainer.evaluate()["eval_learned"] == answers
    assert shapes[0][0] == shapes[0][1]
    assert (shapes[0][1][0], shapes[0][1][2]) == (5, 2)


def test_callbacks_see_the_metrics(make_dpo_trainer, pairs):
    """D25. A callback's `on_log` gets the metrics of the line."""
    lines = []

    class Reading(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            lines.append(logs)

    make_dpo_trainer(pairs, callbacks=[Reading()]).train()
    assert set(contract.METRICS) - {"aux_loss"} <= set(lines[0])


# ---- The reference


def test_reference_is_the_start_of_the_policy(make_dpo_trainer, pairs):
    """D26. By default the reference is a frozen copy of the policy at the start, which training does not move."""
    trainer = make_dpo_trainer(pairs, max_steps=3, learning_rate=1e-2)
    start = weights(trainer.model)
    trainer.train()
    torch.testing.assert_close(weights(trainer.ref_model), start, rtol=0, atol=0)
    assert any(not torch.equal(start[name], weight) for name, weight in weights(trainer.model).items())


def test_reference_that_is_given(make_dpo_trainer, pairs, model_path):
    """D26. `ref_model`, a model or its path, is what the policy is compared with; the policy itself is refused."""
    other = AutoModelForCausalLM.from_pretrained(model_path)
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    losses = []
    for reference in (model_path, other):
        trainer = make_dpo_trainer(pairs, ref_model=reference)
        losses.append(trainer.train().training_loss)
    assert losses[0] == pytest.approx(math.log(2), rel=1e-6)
    assert losses[1] != pytest.approx(math.log(2), rel=1e-4)
    policy = AutoModelForCausalLM.from_pretrained(model_path)
    with pytest.raises(ValueError, match="`ref_model` is the same object as `model`"):
        make_dpo_trainer(pairs, model=policy, ref_model=policy)


def test_reference_that_follows(make_dpo_trainer, pairs):
    """D26. With `sync_ref_model` the reference is mixed with the policy every `ref_model_sync_steps` steps."""
    options = {"sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 1.0}
    trainer = make_dpo_trainer(pairs, max_steps=2, learning_rate=1e-2, **options)
    trainer.train()
    torch.testing.assert_close(weights(trainer.ref_model), weights(trainer.model), rtol=1e-6, atol=1e-7)


def test_precomputed_reference(make_dpo_trainer, pairs):
    """D27. With `precompute_ref_log_probs` no reference is kept, and the losses are the same; values are stored in
    `output_dir/reference` and found again."""
    options = {"max_steps": 3, "learning_rate": 1e-3}
    live = make_dpo_trainer(pairs, **options)
    live.train()
    for _ in range(2):
        stored = make_dpo_trainer(pairs, precompute_ref_log_probs=True, **options)
        assert stored.ref_model is None
        stored.train()
        losses = [[line["loss"] for line in each.state.log_history if "loss" in line] for each in (stored, live)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert len(names_in(Path(live.args.output_dir) / "reference")) == 1


def test_adapters(make_dpo_trainer, pairs):
    """D28. With `peft_config` only the adapter is trained and saved, and the model without it is the reference: there
    is no second copy."""
    trainer = make_dpo_trainer(pairs, peft_config=adapter_config())
    trained = [name for name, weight in trainer.model.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    assert trainer.ref_model is None
    assert trainer.train().training_loss == pytest.approx(math.log(2), rel=1e-6)
    trainer.save_model()
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names_in(trainer.args.output_dir)
    assert "model.safetensors" not in names_in(trainer.args.output_dir)


def test_adapter_that_is_given(make_dpo_trainer, pairs, model_path):
    """D28. A model that comes with an adapter is compared with itself as it was, which is kept as the adapter `ref`."""
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(model_path), adapter_config(init_lora_weights=False)
    )
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    trainer = make_dpo_trainer(pairs, model=model, processing_class=tokenizer, max_steps=2, learning_rate=1e-2)
    before = {name: weight for name, weight in weights(model).items() if ".default." in name}
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(math.log(2), rel=1e-6)
    after = weights(trainer.model)
    for name, weight in before.items():
        assert torch.equal(after[name.replace(".default.", ".ref.")], weight)


# ---- Files


def test_files_of_a_checkpoint(make_dpo_trainer, pairs, tmp_path):
    """D29. A checkpoint lies in `checkpoint-<step>` and consists of the files of the contract, no fewer and no more."""
    make_dpo_trainer(pairs, max_steps=2, save_strategy="steps", save_steps=1).train()
    assert names_in(tmp_path / "run") == {"checkpoint-1", "checkpoint-2"}
    for step in (1, 2):
        assert names_in(tmp_path / "run" / f"checkpoint-{step}") == set(contract.CHECKPOINT)


def test_saved_model_is_a_plain_one(make_dpo_trainer, pairs, tmp_path):
    """D30. What `save_model` writes is loaded by transformers alone, model and tokenizer."""
    trainer = make_dpo_trainer(pairs, learning_rate=1e-2)
    trainer.train()
    trainer.save_model()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    torch.testing.assert_close(weights(loaded), weights(trainer.model), rtol=0, atol=0)
    assert AutoTokenizer.from_pretrained(tmp_path / "run").chat_template == trainer.processing_class.chat_template


@pytest.mark.parametrize("options", [{}, {"sync_ref_model": True, "ref_model_sync_steps": 1, "loss_type": "bco_pair"}])
def test_resuming_goes_on(make_dpo_trainer, pairs, tmp_path, options):
    """D31. A resumed run has the lines of one that was never interrupted, also with a reference that follows and a
    running mean."""
    options = options | {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "learning_rate": 1e-3}
    whole = make_dpo_trainer(pairs, **options)
    whole.train()
    (tmp_path / "run" / "checkpoint-4").rename(tmp_path / "put aside")
    resumed = make_dpo_trainer(pairs, **options)
    resumed.train(resume_from_checkpoint=True)
    lines = [[line for line in each.state.log_history if "loss" in line] for each in (resumed, whole)]
    assert lines[0] == lines[1]
    assert [line["step"] for line in lines[0]] == [1, 2, 3, 4]
