"""Two processes train what one does."""

import json
from pathlib import Path

import pytest

from ..processes import FSDP2, STATEFUL, launch

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
        assert left == pytest.approx(right, rel=1e-4, abs=1e-6)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> dict:
    return run(tmp_path_factory.mktemp("one"), 1, per_device_train_batch_size=4)


def test_two_processes_are_one(tmp_path, one_process):
    """Half the batch in each of two processes: same losses, gradients, metrics (smallest and largest rewards too) and
    evaluation."""
    assert_same(run(tmp_path, 2, per_device_train_batch_size=2), one_process)


def test_streamed_accumulation_in_two_processes(tmp_path, one_process):
    """The loss is averaged over the pairs of all micro-batches of all processes, in memory or streamed."""
    options = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2, "streaming": True}
    assert_same(run(tmp_path, 2, **options), one_process)


def test_sharded_model(tmp_path):
    """FSDP2 shards weights, head included, and changes nothing; nor does a resume of it."""
    options = {"per_device_train_batch_size": 2, "output_dir": str(tmp_path / "a"), "save_strategy": "steps"}
    options |= {"save_steps": 1, **STATEFUL}
    alone = run(tmp_path, 1, **options | {"per_device_train_batch_size": 4, "output_dir": str(tmp_path / "b")})
    assert_same(run(tmp_path, 2, **options, **FSDP2), alone)
    assert_same(run(tmp_path, 2, **options, **FSDP2, resume=str(tmp_path / "a" / "checkpoint-1")), alone)
