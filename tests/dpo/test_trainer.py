"""The trainer: seams, adapters, experts, evaluation, what a checkpoint holds, and what it refuses."""

import json
import math
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, TrainingArguments

from sternpost import DPOConfig, DPOTrainer
from sternpost.dpo import DataCollatorForPreference
from sternpost.dpo.loss import LOSSES
from sternpost.models.forward import score_with_logits

from .. import tiny
from . import naive, runs
from .runs import assert_same_losses, assert_same_run, lines, make, train


def reference():
    return runs.policy(seed=7)


def lora(**config):
    peft = pytest.importorskip("peft")
    return peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4, **config)


def adapted(base=None, **config):
    """A model with an adapter that changes what it says."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(1)
    model = peft.get_peft_model(base or runs.policy(), lora(**config))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model


def experts() -> Qwen3MoeForCausalLM:
    sizes = tiny.model().config.to_dict()
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim")
    config = {name: sizes[name] for name in names} | {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "router_aux_loss_coef": 0.01,
    }  # fmt: skip
    torch.manual_seed(0)
    return runs.enlarge(Qwen3MoeForCausalLM(Qwen3MoeConfig(**config)))


# ---- Seams


def test_scorer_can_be_replaced(tmp_path):
    """A scorer that holds all logits, for policy and reference, gives the same run as the default, which does not."""
    plain = train(tmp_path / "a", ref_model=reference())
    assert_same_run(train(tmp_path / "b", ref_model=reference(), scorer=score_with_logits), plain)


def test_loss_can_be_replaced(tmp_path):
    """`loss_fn` replaces `loss_type`: it gets the pairs of a micro-batch and returns the loss of each."""
    options = {"max_steps": 1, "ref_model": reference()}
    plain = tiny.losses(train(tmp_path / "a", **options))[0]
    args = DPOConfig(str(tmp_path), beta=runs.QUIET["beta"])

    def twice(pairs):
        assert pairs.chosen.shape == pairs.ref_rejected.shape == (4,)
        return 2 * LOSSES["sigmoid"](pairs, args)

    options["ref_model"] = reference()
    assert tiny.losses(train(tmp_path / "b", loss_fn=twice, **options))[0] == pytest.approx(
        [2 * value for value in plain], rel=1e-5
    )


def test_collator_can_be_replaced(tmp_path):
    """A collator of one's own gets prepared pairs, and makes padded batches."""
    seen = []

    class Own(DataCollatorForPreference):
        def torch_call(self, examples):
            seen.append(sorted(examples[0]))
            return super().torch_call(examples[::-1])

    tokenizer = tiny.tokenizer()
    own = train(tmp_path / "a", data_collator=Own(tokenizer.pad_token_id), ref_model=reference())
    assert seen[0] == ["chosen_ids", "prompt_ids", "rejected_ids"]
    assert_same_run(own, train(tmp_path / "b", ref_model=reference()))


def test_reference_can_be_replaced(tmp_path):
    """A subclass decides what policies are compared with: against nothing, rewards are log-probabilities."""

    class Free(DPOTrainer):
        def reference_logps(self, model, inputs, answers):
            return torch.zeros(answers.count)

    rows = Dataset.from_list(runs.pairs())
    args = DPOConfig(str(tmp_path), **runs.QUIET)
    trainer = Free(runs.policy(), args=args, train_dataset=rows, processing_class=tiny.tokenizer())
    trainer.train()
    for line in lines(trainer):
        assert line["rewards/chosen"] == pytest.approx(0.5 * line["logps/chosen"])


def test_prepare_dataset_can_be_overridden(tmp_path):
    """A subclass decides how rows become tokens."""

    class Own(DPOTrainer):
        def prepare_dataset(self, dataset, processing_class, args, dataset_name):
            return Dataset.from_dict({"prompt_ids": [[5]] * 8, "chosen_ids": [[6]] * 8, "rejected_ids": [[7, 8]] * 8})

    rows = Dataset.from_list([{"anything": 1}])
    args = DPOConfig(str(tmp_path), **runs.QUIET)
    trainer = Own(runs.policy(), args=args, train_dataset=rows, processing_class=tiny.tokenizer())
    trainer.train()
    assert lines(trainer)[0]["num_tokens"] == 16


def test_compute_metrics_sees_logits_and_labels(tmp_path):
    """Metrics of an evaluation are computed from whole logits and the tokens of the answers, a row per pair."""

    def metrics(prediction):
        logps = torch.tensor(prediction.predictions).log_softmax(-1)[:, :-1]
        labels = torch.tensor(prediction.label_ids)[:, 1:]
        mask = labels != -100
        each = logps.gather(-1, labels.where(mask, 0)[..., None])[..., 0].where(mask, 0).sum(1)
        return {"rows": len(each), "chosen": each[:, 0].mean().item(), "rejected": each[:, 1].mean().item()}

    rows = Dataset.from_list(runs.pairs(6, seed=4))
    options = {"eval_dataset": rows, "per_device_eval_batch_size": 4}
    result = make(tmp_path, compute_metrics=metrics, ref_model=reference(), **options).evaluate()
    plain = make(tmp_path, ref_model=reference(), **options).evaluate()
    assert result["eval_rows"] == 6
    assert result["eval_loss"] == pytest.approx(plain["eval_loss"], rel=1e-5)
    assert result["eval_chosen"] == pytest.approx(plain["eval_logps/chosen"], rel=1e-5)
    assert result["eval_rejected"] == pytest.approx(plain["eval_logps/rejected"], rel=1e-5)


def test_weighting(tmp_path):
    """WPO: a pair's loss counts `exp(mean(log p - log sum p^2))` of both its answers."""
    trainer = train(tmp_path, ref_model=reference(), use_weighting=True, max_steps=1)
    losses = []
    for row in trainer.train_dataset.to_list()[:4]:
        says, knows, weight = [], [], 1.0
        for side in ("chosen_ids", "rejected_ids"):
            said = naive.answer(runs.policy(), row["prompt_ids"], row[side])
            says.append(said["logp"])
            knows.append(naive.answer(reference(), row["prompt_ids"], row[side])["logp"])
            weight *= math.exp((said["logp"] - said["collision"]) / said["tokens"])
        margin = 0.5 * (says[0] - knows[0] - says[1] + knows[1])
        losses.append(weight * math.log1p(math.exp(-margin)))
    assert tiny.losses(trainer)[0][0] == pytest.approx(sum(losses) / 4, rel=1e-4)


# ---- Evaluation


def test_evaluation_lines_hold_no_training_metrics(tmp_path):
    """A line of an evaluation has only its own metrics, and takes none from the next line of training."""
    options = {"logging_steps": 2, "max_steps": 4, "ref_model": reference()}
    rows = Dataset.from_list(runs.pairs(5, seed=6))
    trainer = train(tmp_path, eval_dataset=rows, eval_strategy="steps", eval_steps=1, **options)
    options["ref_model"] = reference()
    assert lines(trainer) == lines(train(tmp_path, **options))
    evaluations = [line for line in trainer.state.log_history if "eval_loss" in line]
    assert len(evaluations) == 4
    assert all(name.startswith("eval_") or name in ("epoch", "step") for line in evaluations for name in line)


def test_several_evaluations(tmp_path):
    """A dictionary of data sets is evaluated one by one; raw rows may be evaluated at any time."""
    one, two = (Dataset.from_list(runs.pairs(count, seed=count)) for count in (3, 5))
    trainer = make(tmp_path, eval_dataset={"one": one, "two": two}, ref_model=reference())
    both = trainer.evaluate()
    for name, rows in (("one", one), ("two", two)):
        alone = trainer.evaluate(rows, metric_key_prefix="test")
        assert both[f"eval_{name}_loss"] == pytest.approx(alone["test_loss"], rel=1e-6)
        assert both[f"eval_{name}_rewards/margins"] == pytest.approx(alone["test_rewards/margins"], rel=1e-6)
    assert trainer.evaluate({"new": two})["eval_new_loss"] == pytest.approx(both["eval_two_loss"], rel=1e-6)


# ---- The reference


def test_reference_does_not_move(tmp_path):
    """Unless asked to, the reference keeps every weight, gets no gradient, and is never in training mode."""
    trainer = make(tmp_path)
    before = runs.weights(trainer.ref_model)
    trainer.train()
    torch.testing.assert_close(runs.weights(trainer.ref_model), before, rtol=0, atol=0)
    assert not trainer.ref_model.training
    assert all(weight.grad is None and not weight.requires_grad for weight in trainer.ref_model.parameters())
    moved = runs.weights(trainer.model)
    assert all(not torch.equal(moved[name], weight) for name, weight in before.items())


def test_reference_follows(tmp_path):
    """TR-DPO: after the third step the reference is the mixture that was asked for, and not before."""
    options = {"sync_ref_model": True, "ref_model_sync_steps": 3, "ref_model_mixup_alpha": 0.3}
    trainer = make(tmp_path, max_steps=2, **options)
    start = runs.weights(trainer.ref_model)
    trainer.train()
    torch.testing.assert_close(runs.weights(trainer.ref_model), start, rtol=0, atol=0)
    trainer = train(tmp_path, max_steps=3, **options)
    policy = runs.weights(trainer.model)
    mixed = {name: 0.3 * policy[name] + 0.7 * weight for name, weight in start.items()}
    torch.testing.assert_close(runs.weights(trainer.ref_model), mixed, rtol=1e-6, atol=1e-7)


def test_reference_from_a_path(tmp_path):
    """Policy and reference may both be paths; the options of loading concern both."""
    for name, seed in (("policy", 0), ("reference", 7)):
        runs.policy(seed).save_pretrained(tmp_path / name)
        tiny.tokenizer().save_pretrained(tmp_path / name)
    loaded = train(
        tmp_path / "a", model=str(tmp_path / "policy"), ref_model=str(tmp_path / "reference"),
        model_init_kwargs={"dtype": "float32"},
    )  # fmt: skip
    assert_same_run(loaded, train(tmp_path / "b", ref_model=reference()))


# ---- Adapters


def count(model) -> int:
    return sum(weight.numel() for weight in model.parameters())


def test_lora_keeps_no_second_copy(tmp_path):
    """With a new adapter the base without it is the reference: no other model, and nothing but the adapter moves."""
    base = runs.policy()
    size, before = count(base), runs.weights(base)
    trainer = train(tmp_path, model=base, peft_config=lora(), learning_rate=1.0)
    adapter = sum(weight.numel() for name, weight in trainer.model.named_parameters() if "lora" in name)
    assert trainer.ref_model is None
    assert count(trainer.model) == size + adapter
    kept = {name.replace(".base_layer", ""): weight for name, weight in base.named_parameters() if "lora" not in name}
    torch.testing.assert_close({name: kept[name] for name in before}, before, rtol=0, atol=0)
    first, *_, last = lines(trainer)
    assert first["rewards/margins"] == 0
    assert last["rewards/chosen"] != 0


def test_lora_is_compared_with_its_base(tmp_path):
    """The same run as with the base as an explicit second model."""
    one = train(tmp_path / "a", peft_config=lora())
    two = train(tmp_path / "b", peft_config=lora(), ref_model=runs.policy())
    assert two.ref_model is not None
    assert_same_run(one, two)


@pytest.mark.parametrize("options", [{}, {"gradient_checkpointing": True}, {"padding_free": False}], ids=str)
def test_adapter_that_is_given(tmp_path, options):
    """An adapter made beforehand is compared with itself as it was, kept as the adapter `ref` beside one base."""
    merged = adapted().merge_and_unload()
    trainer = train(tmp_path / "a", model=adapted(), **options)
    assert trainer.ref_model is None
    assert set(trainer.model.peft_config) == {"default", "ref"}
    assert lines(trainer)[0]["rewards/chosen"] == 0
    explicit = make(tmp_path / "b", model=adapted(), ref_model=merged, **options)
    assert set(explicit.model.peft_config) == {"default"}
    explicit.train()
    assert_same_losses(trainer, explicit)


def test_reference_adapter_does_not_move(tmp_path):
    """The adapter `ref` stays as it was given while the other one learns."""
    model = adapted()
    before = {name: weight for name, weight in runs.weights(model).items() if "lora" in name}
    trainer = train(tmp_path, model=model)
    after = runs.weights(trainer.model)
    for name, weight in before.items():
        assert torch.equal(after[name.replace("default", "ref")], weight)
    assert any(not torch.equal(after[name], weight) for name, weight in before.items())


def test_adapter_called_ref_is_the_reference(tmp_path):
    """An adapter of this name that the model brings along is what it is compared with."""
    peft = pytest.importorskip("peft")
    model = adapted()
    model.add_adapter("ref", lora())
    torch.manual_seed(5)
    for name, weight in model.named_parameters():
        if "lora_B.ref" in name:
            torch.nn.init.normal_(weight, std=0.1)
    trainer = make(tmp_path, model=model)
    assert isinstance(trainer.model, peft.PeftModel)
    trainer.train()
    assert lines(trainer)[0]["rewards/chosen"] != 0


def test_adapter_follows(tmp_path):
    """TR-DPO with an adapter mixes the two factors of the adapter `ref`."""
    options = {"sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 1.0}
    trainer = train(tmp_path, peft_config=lora(), **options)
    weights = runs.weights(trainer.model)
    for name, weight in weights.items():
        if ".default." in name:
            assert torch.equal(weights[name.replace("default", "ref")], weight)
    assert [line["rewards/chosen"] for line in lines(trainer)] == [0.0, 0.0, 0.0]


def test_prompt_tuning(tmp_path):
    """An adapter that puts virtual tokens before a row is trained on padded rows."""
    peft = pytest.importorskip("peft")
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    trainer = train(tmp_path, peft_config=config, learning_rate=1.0)
    assert trainer.ref_model is None
    assert tiny.losses(trainer)[0][1] > 0
    assert lines(trainer)[1]["rewards/chosen"] != 0


# ---- Experts


def test_experts_are_balanced(tmp_path):
    """The load-balancing loss is logged, weighs as the model's config says, and leaves the rest as it is."""
    found = {}
    for name, options in {
        "on": {},
        "off": {"router_aux_loss_coef": 0.0},
        "twice": {"router_aux_loss_coef": 0.02},
    }.items():
        torch.manual_seed(3)
        trainer = train(tmp_path / name, model=experts(), max_steps=1, **options)
        found[name] = lines(trainer)[0]
    assert "aux_loss" not in found["off"]
    assert found["off"]["loss"] == pytest.approx(math.log(2), rel=1e-6)
    aux = found["on"]["aux_loss"]
    assert found["on"]["loss"] == pytest.approx(math.log(2) + 0.01 * aux, rel=1e-5)
    assert found["twice"]["loss"] == pytest.approx(math.log(2) + 0.02 * aux, rel=1e-5)


def test_experts_share_prompts(tmp_path):
    """Without the load-balancing loss, which counts a shared prompt once, both layouts are the same training."""
    options = {"router_aux_loss_coef": 0.0, "max_steps": 2}
    shared = train(tmp_path / "a", model=experts(), padding_free=True, **options)
    assert_same_run(train(tmp_path / "b", model=experts(), padding_free=False, **options), shared)


def test_accumulated_balance(tmp_path):
    """The load-balancing loss is averaged over micro-batches."""
    trainer = train(
        tmp_path,
        runs.pairs(4),
        model=experts(),
        max_steps=1,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
    )
    (line,) = lines(trainer)
    assert line["loss"] == pytest.approx(math.log(2) + 0.01 * line["aux_loss"], rel=1e-5)


# ---- Options, files


def test_plain_training_arguments_are_accepted(tmp_path):
    """Options of transformers keep their values; ours take their defaults."""
    args = TrainingArguments(str(tmp_path), learning_rate=0.5, report_to="none", logging_steps=7)
    rows = Dataset.from_list(runs.pairs())
    trainer = DPOTrainer(runs.policy(), args=args, train_dataset=rows, processing_class=tiny.tokenizer())
    assert isinstance(trainer.args, DPOConfig)
    assert (trainer.args.learning_rate, trainer.args.logging_steps, trainer.args.beta) == (0.5, 7, 0.1)


def test_dropout_is_a_choice(tmp_path):
    """Off by default, so that two runs with other seeds agree at first; left on if asked for."""
    losses = {}
    for disable in (True, False):
        trainer = train(
            tmp_path, model=runs.policy(attention_dropout=0.3), max_steps=1, disable_dropout=disable, padding_free=False
        )
        losses[disable] = tiny.losses(trainer)[0][0]
    assert losses[True] == pytest.approx(math.log(2), rel=1e-6)
    assert losses[False] != pytest.approx(math.log(2), rel=1e-3)


def test_saved_model_is_the_policy(tmp_path):
    """What is saved is loaded by transformers alone; a checkpoint has no copy of a reference that never moves."""
    trainer = train(tmp_path, save_strategy="steps", save_steps=3)
    trainer.save_model()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(runs.weights(loaded), runs.weights(trainer.model), rtol=0, atol=0)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "qwen3"
    assert not (tmp_path / "checkpoint-3" / "dpo_state.pt").exists()


# ---- What is refused


def refuse(path, error, message, **given):
    with pytest.raises(error) as caught:
        make(path, **given)
    assert message in str(caught.value)
    assert not list(Path(path).rglob("checkpoint-*"))


def test_no_rows(tmp_path):
    """A trainer without rows says so."""
    with pytest.raises(ValueError, match="`train_dataset` is missing"):
        DPOTrainer(runs.policy(), args=DPOConfig(str(tmp_path)))


@pytest.mark.parametrize("kind", ["model", "adapter", "base of an adapter"])
def test_the_policy_is_no_reference(tmp_path, kind):
    """The same object as policy and reference would be trained along."""
    model = runs.policy() if kind == "model" else adapted()
    ref_model = model.get_base_model() if kind == "base of an adapter" else model
    refuse(tmp_path, ValueError, "the same object as `model`", model=model, ref_model=ref_model)


def test_reference_that_cannot_follow(tmp_path):
    """A reference of another shape, or for an adapter, is refused before the first step."""
    for given in ({"ref_model": tiny.model(intermediate_size=24)}, {"peft_config": lora(), "ref_model": reference()}):
        trainer = make(tmp_path, sync_ref_model=True, **given)
        with pytest.raises(ValueError, match=r"`sync_ref_model=True` mixes weights .* leave `ref_model` out"):
            trainer.train()


def test_options_for_a_loaded_model(tmp_path):
    """Loading options without effect are an error."""
    refuse(tmp_path, ValueError, "`dtype` would be ignored", model_init_kwargs={"dtype": "float32"})


def test_absent_models(tmp_path):
    """A path without a model is named, for policy and reference."""
    refuse(tmp_path, OSError, "no-such-model", model=str(tmp_path / "no-such-model"))
    refuse(tmp_path, OSError, "no-such-reference", ref_model=str(tmp_path / "no-such-reference"))


def test_tokenizer_of_another_model(tmp_path):
    """A tokenizer with more tokens than the model knows is refused before an index is out of range."""
    refuse(tmp_path, ValueError, "the model only 100", model=tiny.model(vocab_size=100))


def test_router_option_without_experts(tmp_path):
    """A router coefficient for a model without experts would have no effect."""
    refuse(tmp_path, ValueError, "`router_aux_loss_coef=0.1`", router_aux_loss_coef=0.1)


def test_nothing_trainable(tmp_path):
    """A frozen model has nothing to learn."""
    refuse(tmp_path, ValueError, "No parameter of `model` is trainable", model=runs.policy().requires_grad_(False))


def test_adapter_on_an_adapter(tmp_path):
    """Two adapters at once are ambiguous."""
    refuse(tmp_path, ValueError, "already carries an adapter", model=adapted(), peft_config=lora())


def test_unwritable_output(tmp_path):
    """An output directory that cannot be made is an error before the model is loaded."""
    (tmp_path / "file").touch()
    refuse(tmp_path / "file" / "run", NotADirectoryError, "output_dir", model="never loaded")
