"""The reference's log-probabilities on disk: the same as live ones, found again, never another's, resumable."""

import logging

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset

from sternpost import DPOConfig
from sternpost.dpo import precompute as module
from sternpost.dpo.data import REFERENCE, DataCollatorForPreference
from sternpost.dpo.precompute import digest_of_weights, fingerprint, precompute

from .. import tiny
from . import naive, runs
from .runs import assert_same_run, make, train

ROWS = Dataset.from_dict(
    {"prompt_ids": [[1]] * 10, "chosen_ids": [[i, i] for i in range(10)], "rejected_ids": [[3]] * 10}
)


def reference():
    return runs.policy(seed=7)


# ---- In a run


def test_values_are_the_references(tmp_path):
    """Each pair has the log-probabilities of its answers under the reference, which is let go of."""
    trainer = make(tmp_path, ref_model=reference(), precompute_ref_log_probs=True, precompute_ref_batch_size=5)
    assert trainer.ref_model is None
    for row in trainer.train_dataset.to_list()[:4]:
        for name, side in zip(REFERENCE, ("chosen_ids", "rejected_ids"), strict=True):
            assert row[name] == pytest.approx(naive.answer(reference(), row["prompt_ids"], row[side])["logp"], rel=1e-5)


@pytest.mark.parametrize("case", ["copy", "new adapter", "given adapter", "long answers", "several evaluations"])
def test_precomputed_is_live(tmp_path, case):
    """Losses, weights and evaluations are those of a reference that is asked at every step."""
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4)

    def given():
        if case == "given adapter":
            torch.manual_seed(1)
            return {"model": runs.enlarge(peft.get_peft_model(runs.policy(), lora))}
        return {"peft_config": lora} if case == "new adapter" else {}

    held_out = Dataset.from_list(runs.pairs(5, seed=9))
    evals = {"one": held_out, "two": held_out.select(range(2))} if case == "several evaluations" else held_out
    options = {"ld_alpha": 0.5} if case == "long answers" else {}
    live = train(tmp_path / "live", eval_dataset=evals, **given(), **options)
    stored = train(tmp_path / "stored", eval_dataset=evals, precompute_ref_log_probs=True, **given(), **options)
    assert_same_run(stored, live)
    left, right = stored.evaluate(), live.evaluate()
    for name in right:
        if "runtime" not in name and "per_second" not in name:
            assert left[name] == pytest.approx(right[name], rel=1e-4, abs=1e-5), name


def test_values_that_come_with_the_rows_are_used(tmp_path):
    """No reference is asked; a pair whose answers have these values has the loss that follows from them."""
    rows = [row | {"ref_chosen_logps": -50.0, "ref_rejected_logps": -49.0} for row in runs.pairs(4)]
    trainer = make(tmp_path, rows, precompute_ref_log_probs=True)
    assert not (tmp_path / "reference").exists()
    trainer.train()
    line = trainer.state.log_history[0]
    assert line["rewards/chosen"] == pytest.approx(0.5 * (line["logps/chosen"] + 50), rel=1e-4)
    assert line["rewards/rejected"] == pytest.approx(0.5 * (line["logps/rejected"] + 49), rel=1e-4)


def test_stored_values_are_found_again(tmp_path, caplog):
    """A second run of the same rows, weights and options reads them."""
    options = {"ref_model": reference(), "precompute_ref_log_probs": True}
    first = make(tmp_path, **options)
    (file,) = (tmp_path / "reference").glob("*/*.npy")
    np.save(file, np.load(file) - 1000)
    with caplog.at_level(logging.INFO, module.__name__):
        second = make(tmp_path, **options | {"ref_model": reference(), "padding_free": False})
    assert second.train_dataset[3][REFERENCE[0]] == pytest.approx(first.train_dataset[3][REFERENCE[0]] - 1000)
    assert "1 of 1 chunks found" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"ref_model": runs.policy(8)},
        {"rows": runs.pairs(seed=1)},
        {"max_length": 9},
        {"ld_alpha": 0.5},
        {"rows": runs.pairs()[::-1]},
    ],
    ids=["weights", "rows", "max_length", "ld_alpha", "order"],
)
def test_values_of_something_else_are_not_taken(tmp_path, change):
    """Other weights, rows or options have a folder of their own."""
    options = {"ref_model": reference(), "precompute_ref_log_probs": True}
    make(tmp_path, **options)
    made = make(tmp_path, **options | change)
    assert len(list((tmp_path / "reference").iterdir())) == 2
    row = made.train_dataset[0]
    if "ref_model" in change:
        assert row[REFERENCE[0]] == pytest.approx(
            naive.answer(runs.policy(8), row["prompt_ids"], row["chosen_ids"])["logp"], rel=1e-5
        )


def test_interrupted_run_goes_on(tmp_path, monkeypatch):
    """What was computed before an interruption is not computed again, and the values are those of one run."""
    monkeypatch.setattr(module, "CHUNK_BATCHES", 1)
    options = {"precompute_ref_log_probs": True, "precompute_ref_batch_size": 3}
    whole = make(tmp_path / "whole", ref_model=reference(), **options)
    calls = []

    class Interrupted(type(whole)):
        stops = True

        def reference_logps(self, model, inputs, answers):
            calls.append(len(answers.tokens) // 2)
            if self.stops and len(calls) == 3:
                raise KeyboardInterrupt
            return super().reference_logps(model, inputs, answers)

    monkeypatch.setattr(runs, "DPOTrainer", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", ref_model=reference(), **options)
    assert len(list((tmp_path / "parts").rglob("*.npy"))) == 2
    Interrupted.stops = False
    made = make(tmp_path / "parts", ref_model=reference(), **options)
    assert calls == [3, 3, 3, 3, 3]
    assert made.train_dataset.to_list() == whole.train_dataset.to_list()


# ---- By itself


def scored(folder, calls=None, rows=ROWS, batch_size=2):
    """Rows with the ids of their chosen answers as values."""

    def score(batch):
        if calls is not None:
            calls.append(batch)
        return torch.tensor(batch, dtype=torch.float), -torch.tensor(batch, dtype=torch.float)

    def collate(examples):
        return [example["chosen_ids"][0] for example in examples]

    return precompute(rows, score, collate, Accelerator(cpu=True), folder, batch_size, "title")


def test_lost_chunks_are_computed_again(tmp_path, monkeypatch):
    """Every row gets its own value, though chunks in the middle and at the end are missing."""
    monkeypatch.setattr(module, "CHUNK_BATCHES", 2)
    assert scored(tmp_path)["ref_chosen_logps"][:] == list(range(10))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.npy", "000001.npy", "000002.npy"]
    for name in ("000001.npy", "000002.npy"):
        (tmp_path / name).unlink()
    calls = []
    assert scored(tmp_path, calls)["ref_rejected_logps"][:] == [-number for number in range(10)]
    assert calls == [[4, 5], [6, 7], [8, 9]]


def test_half_written_chunk_is_no_chunk(tmp_path):
    """A chunk is there whole or not at all."""
    (tmp_path / "000000.unfinished").write_bytes(b"\x93NUMPY")
    assert scored(tmp_path)["ref_chosen_logps"][:] == list(range(10))
    assert [path.name for path in tmp_path.iterdir()] == ["000000.npy"]


def test_old_values_are_replaced(tmp_path):
    """A column of that name gives way to the computed one."""
    rows = ROWS.add_column("ref_chosen_logps", [5.0] * 10)
    assert scored(tmp_path, rows=rows)["ref_chosen_logps"][:] == list(range(10))


def options(**given):
    return DPOConfig("unused", **given)


def test_fingerprint():
    """It depends on weights, options and every token of every pair, and where one column ends, on nothing else."""
    base = fingerprint(ROWS, "weights", options())
    assert base == fingerprint(ROWS.add_column("other", [0] * 10), "weights", options(beta=0.3, learning_rate=0.1))
    others = [
        fingerprint(ROWS, "other weights", options()),
        fingerprint(ROWS, "weights", options(max_length=5)),
        fingerprint(ROWS, "weights", options(max_length=None)),
        fingerprint(ROWS, "weights", options(truncation_mode="keep_end")),
        fingerprint(ROWS, "weights", options(ld_alpha=0.5)),
        fingerprint(ROWS, "weights", options(bf16=True, use_cpu=True)),
        fingerprint(ROWS.select(range(9)), "weights", options()),
        fingerprint(ROWS.select([1, 0, *range(2, 10)]), "weights", options()),
        fingerprint(
            ROWS.rename_columns({"chosen_ids": "rejected_ids", "rejected_ids": "chosen_ids"}), "weights", options()
        ),
        fingerprint(moved_boundary(), "weights", options()),
    ]
    assert len({base, *others}) == 1 + len(others)


def moved_boundary() -> Dataset:
    """The same tokens, of which one belongs to another answer."""
    rows = ROWS.to_dict()
    rows["chosen_ids"][0], rows["chosen_ids"][1] = [0, 0, 1], [1]
    return Dataset.from_dict(rows)


def test_digest_of_weights():
    """Two models with the same weights have the same digest; any moved weight or another dtype changes it."""
    base = digest_of_weights(tiny.model())
    assert digest_of_weights(tiny.model()) == base
    assert digest_of_weights(tiny.model(seed=1)) != base
    assert digest_of_weights(tiny.model().bfloat16()) != base
    for name in ("model.layers.1.mlp.up_proj.weight", "model.norm.weight"):
        changed = tiny.model()
        with torch.no_grad():
            changed.get_parameter(name).flatten()[7] += 1e-3
        assert digest_of_weights(changed) != base


# ---- What is refused


def test_rows_that_cannot_be_kept(tmp_path):
    """Streams have no rows to keep values with: of training, of evaluation, and of a later evaluation."""
    stream = Dataset.from_list(runs.pairs()).to_iterable_dataset()
    wanted = r"`precompute_ref_log_probs=True` needs rows of text in memory, but the (train|eval) pairs are a stream\. "
    with pytest.raises(ValueError, match=wanted):
        make(tmp_path, stream, precompute_ref_log_probs=True)
    with pytest.raises(ValueError, match=wanted):
        make(tmp_path, eval_dataset=stream, precompute_ref_log_probs=True)
    trainer = make(tmp_path, precompute_ref_log_probs=True)
    with pytest.raises(ValueError, match=wanted):
        trainer.evaluate(stream)


def test_new_pairs_when_the_reference_is_gone(tmp_path):
    """New pairs can be evaluated while the policy still is its reference, or contains it; afterwards it is said."""
    peft = pytest.importorskip("peft")
    rows = Dataset.from_list(runs.pairs(4, seed=5))
    trainer = make(tmp_path, precompute_ref_log_probs=True)
    assert trainer.evaluate(rows)["eval_rewards/margins"] == pytest.approx(0, abs=1e-5)
    trainer.train()
    with pytest.raises(ValueError, match="Pass them as `eval_dataset` to the trainer"):
        trainer.evaluate(rows)
    known = trainer.prepare_dataset(rows, trainer.processing_class, trainer.args, "eval")
    for name in REFERENCE:
        known = known.add_column(name, [-9.0] * 4)
    assert trainer.evaluate(known)["eval_rewards/margins"] != 0
    given = make(tmp_path / "given", ref_model=reference(), precompute_ref_log_probs=True)
    with pytest.raises(ValueError, match="Pass them as `eval_dataset` to the trainer"):
        given.evaluate(rows)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4)
    adapter = train(tmp_path / "lora", peft_config=lora, precompute_ref_log_probs=True)
    live = train(tmp_path / "live", peft_config=lora)
    assert adapter.evaluate(rows)["eval_loss"] == pytest.approx(live.evaluate(rows)["eval_loss"], rel=1e-5)


def test_values_that_a_collator_loses_are_missed(tmp_path):
    """A collator of one's own that forgets them is told so; the policy does not stand in for its reference."""
    collate = DataCollatorForPreference(0)

    def forgets(examples):
        return {key: value for key, value in collate(examples).items() if key not in REFERENCE}

    trainer = make(tmp_path, precompute_ref_log_probs=True, data_collator=forgets)
    with pytest.raises(ValueError, match="the batch holds no `ref_chosen_logps` and no `ref_rejected_logps`"):
        trainer.train()
