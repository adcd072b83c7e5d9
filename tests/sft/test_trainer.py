"""The trainer: seams, adapters, experts, evaluation, and what it refuses."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import BitsAndBytesConfig, Qwen3MoeConfig, Qwen3MoeForCausalLM, TrainingArguments

from sternpost import SFTConfig, SFTTrainer
from sternpost.models.forward import score_with_logits

from .. import tiny

QUIET = dict(
    report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, learning_rate=1e-2, max_steps=2,
    per_device_train_batch_size=4, train_sampling_strategy="sequential", dataloader_pin_memory=False,
)  # fmt: skip


def make(path, model=None, rows=None, processing_class=None, options=(), **arguments) -> SFTTrainer:
    args = SFTConfig(output_dir=str(path), **QUIET | dict(options))
    return SFTTrainer(
        model if model is not None else tiny.model(),
        args,
        train_dataset=Dataset.from_list(rows or tiny.conversations()),
        processing_class=processing_class or tiny.tokenizer(),
        **arguments,
    )


def train(path, **arguments) -> list[tuple[float, float]]:
    trainer = make(path, **arguments)
    trainer.train()
    return tiny.losses(trainer)


def assert_same_run(ours, theirs) -> None:
    for left, right in zip(ours, theirs, strict=True):
        assert left == pytest.approx(right, rel=1e-5)


def experts() -> Qwen3MoeForCausalLM:
    torch.manual_seed(0)
    sizes = tiny.model().config.to_dict()
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim")
    return Qwen3MoeForCausalLM(
        Qwen3MoeConfig(
            **{name: sizes[name] for name in names},
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=16,
            router_aux_loss_coef=0.01,
        )
    )


# ---- Seams


def test_scorer_can_be_replaced(tmp_path):
    """A scorer that holds all logits gives the same run as the default, which does not."""
    assert_same_run(train(tmp_path / "a", scorer=score_with_logits), train(tmp_path / "b"))


def test_loss_can_be_replaced(tmp_path):
    """`loss_fn` replaces `loss_type`: twice the loss per token is twice the loss."""
    plain = train(tmp_path / "a", options={"max_steps": 1})
    twice = train(tmp_path / "b", options={"max_steps": 1}, loss_fn=lambda logps: -2 * logps)
    assert twice[0] == pytest.approx([2 * value for value in plain[0]], rel=1e-5)


def test_compute_loss_func_sees_logits(tmp_path):
    """The loss of a user, computed from logits, equals ours when it is the same loss."""

    def loss(outputs, labels, num_items_in_batch=None):
        logits = outputs.logits[:, :-1].flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), reduction="sum") / num_items_in_batch

    assert_same_run(train(tmp_path / "a", compute_loss_func=loss), train(tmp_path / "b"))


def test_compute_metrics_sees_logits_and_labels(tmp_path):
    """Metrics of an evaluation are computed from whole logits, one row of them per row of data."""
    shapes = {}

    def metrics(prediction):
        shapes.update(logits=prediction.predictions.shape, labels=prediction.label_ids.shape)
        return {"rows": len(prediction.label_ids)}

    trainer = make(tmp_path, compute_metrics=metrics, eval_dataset=Dataset.from_list(tiny.conversations(6)))
    result = trainer.evaluate()
    assert result["eval_rows"] == 6
    assert shapes["logits"][:2] == shapes["labels"]
    assert result["eval_loss"] == pytest.approx(
        make(tmp_path).evaluate(Dataset.from_list(tiny.conversations(6)))["eval_loss"], rel=1e-5
    )


def test_evaluation_lines_hold_no_training_metrics(tmp_path):
    """A line of an evaluation has only its own metrics, and takes none from the next line of training."""
    rows = Dataset.from_list(tiny.conversations(4))
    options = {"eval_strategy": "steps", "eval_steps": 1, "logging_steps": 2, "max_steps": 4}
    trainer = make(tmp_path, options=options, eval_dataset=rows)
    trainer.train()
    plain = make(tmp_path, options={"logging_steps": 2, "max_steps": 4})
    plain.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert lines == [line for line in plain.state.log_history if "loss" in line]
    evaluations = [line for line in trainer.state.log_history if "eval_loss" in line]
    assert len(evaluations) == 4
    assert all(name.startswith("eval_") or name in ("epoch", "step") for line in evaluations for name in line)


def test_plain_training_arguments_are_accepted(tmp_path):
    """Options of transformers keep their values; ours take their defaults."""
    args = TrainingArguments(str(tmp_path), learning_rate=0.5, report_to="none", logging_steps=7)
    trainer = SFTTrainer(
        tiny.model(), args, train_dataset=Dataset.from_list(tiny.conversations()), processing_class=tiny.tokenizer()
    )
    assert isinstance(trainer.args, SFTConfig)
    assert (trainer.args.learning_rate, trainer.args.logging_steps, trainer.args.max_length) == (0.5, 7, 1024)


def test_prepare_dataset_can_be_overridden(tmp_path):
    """A subclass decides how rows become tokens."""

    class Own(SFTTrainer):
        def prepare_dataset(self, dataset, processing_class, args, packing, formatting_func, dataset_name):
            return Dataset.from_dict({"input_ids": [[5, 6, 7, 8]] * 8})

    trainer = Own(
        tiny.model(), SFTConfig(str(tmp_path), **QUIET), train_dataset=Dataset.from_list(tiny.conversations()),
        processing_class=tiny.tokenizer(),
    )  # fmt: skip
    trainer.train()
    assert trainer.state.log_history[0]["num_tokens"] == 16


# ---- Models


def test_lora_trains_the_adapter_only(tmp_path):
    """The base keeps its weights, the adapter learns, and the checkpoint holds the adapter."""
    peft = pytest.importorskip("peft")
    base = tiny.model()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    trainer = make(
        tmp_path, model=base, options={"save_strategy": "steps", "save_steps": 2, "learning_rate": 0.1, "max_steps": 4},
        peft_config=peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4),
    )  # fmt: skip
    trainer.train()
    losses = [loss for loss, _ in tiny.losses(trainer)]
    assert losses[-1] < losses[0]
    for name, value in before.items():
        assert torch.equal(value, trainer.model.base_model.model.state_dict().get(name, value))
    assert (tmp_path / "checkpoint-4" / "adapter_model.safetensors").exists()


@pytest.mark.parametrize("given", ["adapter on the model", "checkpointed"])
def test_adapters_that_are_given(tmp_path, given):
    """An adapter made beforehand is trained like one made here, also with recomputed activations."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4)
    torch.manual_seed(SFTConfig(str(tmp_path)).seed)
    adapted = peft.get_peft_model(tiny.model(), config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    plain = train(tmp_path / "a", model=adapted)
    assert all(norm > 0 for _, norm in plain)
    if given == "checkpointed":
        again = peft.get_peft_model(tiny.model(), config)
        peft.set_peft_model_state_dict(again, peft.get_peft_model_state_dict(adapted))
        assert all(norm > 0 for _, norm in train(tmp_path / "b", model=again, options={"gradient_checkpointing": True}))


def test_adapter_on_a_quantised_base(tmp_path):
    """The weights of the base are loaded in 4 bits, stay as they are, and the adapter on them learns."""
    peft = pytest.importorskip("peft")
    pytest.importorskip("bitsandbytes")
    tiny.model(hidden_size=64, intermediate_size=128, head_dim=16).save_pretrained(tmp_path / "model")
    trainer = make(
        tmp_path / "run",
        model=str(tmp_path / "model"),
        options={"max_steps": 4, "learning_rate": 0.05},
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        peft_config=peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4),
    )
    weight = trainer.model.base_model.model.model.layers[0].self_attn.q_proj.base_layer.weight
    before = weight.data.clone()
    trainer.train()
    losses = [loss for loss, _ in tiny.losses(trainer)]
    assert before.dtype == torch.uint8
    assert torch.equal(weight.data, before)
    assert losses[-1] < losses[0]


def test_experts_are_balanced(tmp_path):
    """The load-balancing loss is logged, weighs as the model's config says, and accumulates like the rest."""
    runs = {}
    for name, options in {
        "on": {}, "off": {"router_aux_loss_coef": 0.0}, "twice": {"router_aux_loss_coef": 0.02},
        "accumulated": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "padding_free": False},
    }.items():  # fmt: skip
        trainer = make(tmp_path / name, model=experts(), options={**options, "max_steps": 1})
        trainer.train()
        runs[name] = trainer.state.log_history[0]
    assert "aux_loss" not in runs["off"]
    aux = runs["on"]["aux_loss"]
    assert runs["on"]["loss"] == pytest.approx(runs["off"]["loss"] + 0.01 * aux, rel=1e-5)
    assert runs["twice"]["loss"] == pytest.approx(runs["off"]["loss"] + 0.02 * aux, rel=1e-5)
    assert runs["accumulated"]["loss"] == pytest.approx(runs["on"]["loss"], rel=1e-5)


def test_model_from_a_path(tmp_path):
    """A path loads model and tokenizer; options reach `from_pretrained`; the result can be loaded again."""
    tiny.model().save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    trainer = SFTTrainer(
        str(tmp_path / "model"),
        SFTConfig(str(tmp_path / "run"), **QUIET, model_init_kwargs={"dtype": "bfloat16"}),
        train_dataset=Dataset.from_list(tiny.conversations()),
    )
    assert trainer.model.dtype == torch.bfloat16
    trainer.train()
    trainer.save_model()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model_type"] == "qwen3"
    again = SFTTrainer(
        str(tmp_path / "run"), SFTConfig(str(tmp_path / "b")), train_dataset=Dataset.from_list(tiny.conversations())
    )
    assert again.processing_class.chat_template == tiny.CHAT_TEMPLATE


# ---- What is refused


def refuse(path, error, message, **arguments):
    with pytest.raises(error) as caught:
        make(path, **arguments)
    assert message in str(caught.value)
    assert not list(Path(path).rglob("checkpoint-*"))


def test_no_rows(tmp_path):
    """A trainer without rows says so."""
    with pytest.raises(ValueError, match="`train_dataset` is missing"):
        SFTTrainer(tiny.model(), SFTConfig(str(tmp_path)))


def test_options_for_a_loaded_model(tmp_path):
    """Loading options without effect are an error."""
    refuse(tmp_path, ValueError, "`dtype` would be ignored", options={"model_init_kwargs": {"dtype": "float32"}})


def test_unknown_dtype(tmp_path):
    """A dtype that does not exist is named."""
    options = {"model_init_kwargs": {"dtype": "float31"}}
    refuse(tmp_path, ValueError, '`dtype="float31"`, which is not a torch dtype', model="nowhere", options=options)


def test_absent_model(tmp_path):
    """A path without a model is named."""
    refuse(tmp_path, OSError, "no-such-model", model=str(tmp_path / "no-such-model"))


def test_model_without_a_tokenizer(tmp_path):
    """A model that comes without a tokenizer asks for one."""
    tiny.model().save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="Pass one as `processing_class`"):
        SFTTrainer(
            str(tmp_path / "model"),
            SFTConfig(str(tmp_path / "run")),
            train_dataset=Dataset.from_list(tiny.conversations()),
        )


def test_tokenizer_of_another_model(tmp_path):
    """A tokenizer with more tokens than the model knows is refused before an index is out of range."""
    refuse(tmp_path, ValueError, "the model only 100", model=tiny.model(vocab_size=100))


def test_unknown_end_token(tmp_path):
    """An end token that the tokenizer does not have is named."""
    refuse(tmp_path, ValueError, "`eos_token='<stop>'`", options={"eos_token": "<stop>"})


def test_router_option_without_experts(tmp_path):
    """A router coefficient for a model without experts would have no effect."""
    refuse(tmp_path, ValueError, "`router_aux_loss_coef=0.1`", options={"router_aux_loss_coef": 0.1})


def test_nothing_trainable(tmp_path):
    """A frozen model has nothing to learn."""
    refuse(tmp_path, ValueError, "No parameter of `model` is trainable", model=tiny.model().requires_grad_(False))


def test_adapter_on_an_adapter(tmp_path):
    """Two adapters at once are ambiguous."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")
    model = peft.get_peft_model(tiny.model(), config)
    refuse(tmp_path, ValueError, "already carries an adapter", model=model, peft_config=config)


def test_rows_that_would_mix(tmp_path):
    """Packing is refused for a model whose layers would let rows see one another."""
    from transformers import MambaConfig, MambaForCausalLM

    model = MambaForCausalLM(MambaConfig(vocab_size=304, hidden_size=16, num_hidden_layers=1, state_size=4))
    refuse(tmp_path, ValueError, "would let them see one another", model=model, options={"packing": True})
    refuse(tmp_path, ValueError, "`padding_free=True`", model=model, options={"padding_free": True})
    assert len(train(tmp_path, model=model)) == 2


def test_absent_chat_template(tmp_path):
    """A chat template that is not there is named."""
    refuse(tmp_path, OSError, "`chat_template_path='nowhere.jinja'`", options={"chat_template_path": "nowhere.jinja"})


def test_unwritable_output(tmp_path):
    """An output directory that cannot be made is an error before the model is loaded."""
    (tmp_path / "file").touch()
    refuse(tmp_path / "file" / "run", NotADirectoryError, "output_dir", model="never loaded")


def test_full_disk(tmp_path):
    """A save that fails for want of space leaves no half-written checkpoint, and says how to go on.

    The file-size limit of a process stands in for a full disk: writes beyond it fail in the kernel.
    """
    script = f"""
        import resource
        from tests.sft.test_trainer import make
        trainer = make({str(tmp_path)!r}, options={{"save_strategy": "steps", "save_steps": 1}})
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
        try:
            trainer.train()
        except OSError as error:
            print("REFUSED", error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert "REFUSED Saving to" in result.stdout, result.stderr[-2000:]
    assert "resume_from_checkpoint=True" in result.stdout
    assert not (tmp_path / "checkpoint-1").exists()
