import torch
from longshore.arguments import LongshoreConfig
from longshore.trainer import LongshoreTrainer, QuietLongshoreTrainer
from transformers import AutoModelForCausalLM, AutoTokenizer

import sternpost

QUIET = "longshore.trainer.QuietLongshoreTrainer"


def batch_of(trainer):
    return next(iter(trainer.get_train_dataloader()))


def test_our_mixins_come_first():
    names = [one.__name__ for one in LongshoreTrainer.__mro__]
    assert names.index("OptimizerMixin") < names.index("SFTTrainer") < names.index("Trainer")


def test_steps_see_the_batch(build):
    trainer = build("sft.yaml", trainer_cls=QUIET, max_steps=1, save_steps=None, eval_steps=1)
    trainer.train()
    assert trainer.last_shape[-1] % 8 == 0
    assert {"input_ids", "labels"} <= set(trainer.last_eval_keys)


def test_padded_batch(build):
    batch = batch_of(build("sft.yaml", sft={"padding_free": False}))
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()


def test_packed_batch(build):
    """Our kernels take where documents begin from `position_ids` and from `seq_lengths`; both have to say the same."""
    batch = batch_of(build("packed.yaml"))
    starts = (batch["position_ids"][0] == 0).nonzero().flatten().tolist()
    lengths = torch.tensor(batch["seq_lengths"])
    assert starts == [0, *lengths.cumsum(0)[:-1].tolist()]


def test_our_weights_reach_the_loss(build, record_property):
    options = {"max_steps": 1, "save_steps": None, "eval_steps": None}
    plain, weighted = build("sft.yaml", **options), build("sft.yaml", weight_long_rows=2.0, **options)
    plain.train()
    weighted.train()
    record_property("weighted loss", weighted.state.log_history[0]["loss"])
    assert weighted.state.log_history[0]["loss"] > plain.state.log_history[0]["loss"]


def test_our_loss_is_used(build, record_property):
    """At power 1 ours is the library's own `dft`."""
    options = {"max_steps": 1, "save_steps": None, "eval_steps": None}
    ours, theirs = (
        build("sft.yaml", confidence_power=1, **options),
        build("sft.yaml", sft={"loss_type": "dft"}, **options),
    )
    ours.train()
    theirs.train()
    record_property("loss of our own", ours.state.log_history[0]["loss"])
    assert abs(ours.state.log_history[0]["loss"] - theirs.state.log_history[0]["loss"]) < 1e-4


def test_rows_that_teach_little_are_left_out(build):
    every, some = build("sft.yaml"), build("sft.yaml", label_floor=4)
    assert 0 < some.row_counts["train"] < every.row_counts["train"]


def test_embeddings_learn_at_their_own_rate(build):
    trainer = build("sft.yaml", sft={"embedding_lr_scale": 0.5})
    rates = [group["lr"] for group in trainer.create_optimizer().param_groups]
    assert rates[-1] == rates[0] * 0.5


def test_by_position(tmp_path):
    """Our quick-start notebook passes everything by position."""
    path = sternpost.demo.path()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    rows = sternpost.demo.load("text").select(range(8))
    args = LongshoreConfig(str(tmp_path), max_steps=1, use_cpu=True, save_strategy="no")
    trainer = QuietLongshoreTrainer(model, args, None, rows, rows, tokenizer)
    trainer.train()
    assert trainer.evaluate()["eval_loss"] > 0
    assert trainer.processing_class is tokenizer


def test_names_that_we_import():
    for name in (
        "SFTConfig", "SFTTrainer", "ModelConfig", "ScriptArguments", "get_peft_config", "get_dataset",
        "apply_chat_template", "maybe_apply_chat_template", "is_conversational", "pack_dataset", "clone_chat_template",
    ):  # fmt: skip
        assert callable(getattr(sternpost, name))


def test_packing_by_hand():
    """We pack before the trainer sees the rows, to cache what was packed."""
    from datasets import Dataset

    packed = sternpost.pack_dataset(Dataset.from_dict({"input_ids": [[1, 2, 3], [4, 5], [6]]}), 4, "bfd")
    assert sorted(map(sorted, packed["seq_lengths"])) == [[1, 3], [2]]
