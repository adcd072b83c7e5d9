"""Two processes train what one does."""

import json
from pathlib import Path

import pytest

from ..processes import FSDP2, launch

SCRIPT = Path(__file__).with_name("distributed_run.py")


def run(path: Path, processes: int, **options) -> dict:
    """What a run in `processes` gloo processes logged."""
    out = path / f"{processes}-{len(list(path.iterdir()))}.json"
    launch(SCRIPT, processes, str(out), json.dumps(options))
    logged = json.loads(out.read_text())
    for line in logged["lines"]:
        del line["epoch"]  # a stream does not know its length
    return logged


def assert_same(ours: dict, theirs: dict) -> None:
    assert len(ours["lines"]) == len(theirs["lines"]) == 3
    for left, right in zip(ours["lines"] + [ours["eval"]], theirs["lines"] + [theirs["eval"]], strict=True):
        assert left == pytest.approx(right, rel=1e-4)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> dict:
    return run(tmp_path_factory.mktemp("one"), 1, per_device_train_batch_size=4)


@pytest.mark.parametrize("options", [{}, {"streaming": True, "padding_free": False}], ids=["rows", "streamed"])
def test_two_processes_are_one(tmp_path, one_process, options):
    """Half the batch in each of two processes: same losses, gradients, metrics and evaluation, though they learn
    different numbers of tokens."""
    assert_same(run(tmp_path, 2, per_device_train_batch_size=2, **options), one_process)


def test_accumulation_in_two_processes(tmp_path, one_process):
    """The loss is averaged over the tokens of all micro-batches of all processes."""
    assert_same(run(tmp_path, 2, per_device_train_batch_size=1, gradient_accumulation_steps=2), one_process)


def test_sharded_model(tmp_path):
    """FSDP2 shards weights, head included, and changes nothing."""
    whole = run(tmp_path, 1, per_device_train_batch_size=4, tied=False)
    assert_same(run(tmp_path, 2, per_device_train_batch_size=2, tied=False, **FSDP2), whole)


def test_two_processes_resume(tmp_path):
    """Two processes go on from a checkpoint with the losses of the uninterrupted run."""
    whole = run(
        tmp_path, 2, per_device_train_batch_size=2, save_strategy="steps", save_steps=1, output_dir=str(tmp_path / "a")
    )
    again = run(
        tmp_path, 2, per_device_train_batch_size=2, output_dir=str(tmp_path / "a"), save_strategy="steps", save_steps=1,
        resume=str(tmp_path / "a" / "checkpoint-1"),
    )  # fmt: skip
    assert_same(again, whole)
