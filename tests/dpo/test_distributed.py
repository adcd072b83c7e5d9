"""Two processes train what one does: losses, gradients, metrics, references."""

import json
from pathlib import Path

import pytest

from ..processes import FSDP2, STATEFUL, launch

SCRIPT = Path(__file__).with_name("distributed_run.py")
SEVERAL = {"loss_type": ["sigmoid", "sft", "bco_pair"], "loss_weights": [1.0, 0.3, 0.5]}
CASES = {
    "several losses": SEVERAL,
    "padded": {**SEVERAL, "padding_free": False},
    "streamed": {"streaming": True},
    "precomputed": {"precompute_ref_log_probs": True, "precompute_ref_batch_size": 5},
    "adapter": {"lora": True},
    "adapter that is followed": {"lora": True, "sync_ref_model": True, "ref_model_sync_steps": 1, "resume": True},
    "model that follows": {"sync_ref_model": True, "ref_model_sync_steps": 1, "resume": True, **SEVERAL},
}
"""Each with a batch of four pairs in one process, and of two in each of two."""
SHARDED = {
    "other model": {**SEVERAL, "tied": False},
    "copy that follows": {
        "other": False, "tied": False, "sync_ref_model": True, "ref_model_sync_steps": 1, "resume": True,
    },
    "precomputed": {"other": False, "tied": False, "precompute_ref_log_probs": True},
}  # fmt: skip
"""Weights of policy and reference spread over the processes."""


def run(path: Path, processes: int, cases: dict[str, dict]) -> dict:
    """What runs in `processes` gloo processes logged."""
    out = path / f"{processes}.json"
    launch(SCRIPT, processes, str(out), json.dumps(cases))
    return json.loads(out.read_text())


def with_batch(cases: dict[str, dict], size: int, **options) -> dict[str, dict]:
    return {name: {"per_device_train_batch_size": size, **case, **options} for name, case in cases.items()}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[int, dict]:
    """All cases in one process and in two, and the first of them accumulated in two."""
    path = tmp_path_factory.mktemp("runs")
    two = with_batch(CASES, 2) | {"accumulated": {**SEVERAL, "per_device_train_batch_size": 1}}
    two["accumulated"]["gradient_accumulation_steps"] = 2
    return {1: run(path, 1, with_batch(CASES, 4)), 2: run(path, 2, two)}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> dict[int, dict]:
    path = tmp_path_factory.mktemp("sharded")
    return {
        1: run(path, 1, with_batch(SHARDED, 4, **STATEFUL)),
        2: run(path, 2, with_batch(SHARDED, 2, **STATEFUL, **FSDP2)),
    }


def assert_same(ours: dict, theirs: dict) -> None:
    assert len(ours["lines"]) == len(theirs["lines"]) == 3
    for left, right in zip([*ours["lines"], ours["eval"]], [*theirs["lines"], theirs["eval"]], strict=True):
        for name in right:
            if name != "epoch" and "runtime" not in name and "per_second" not in name and name != "eval_loss":
                assert left[name] == pytest.approx(right[name], rel=1e-4, abs=1e-5), name
    assert ours["rewards seen"] == pytest.approx(theirs["rewards seen"], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one(results, name):
    """Half the batch in each of two processes: same losses, gradients, metrics, running means and evaluation."""
    assert_same(results[2][name], results[1][name])


def test_accumulation_in_two_processes(results):
    """The mean is over the pairs, and for `sft` the tokens, of all micro-batches of all processes."""
    assert_same(results[2]["accumulated"], results[1]["several losses"])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.get("resume")])
@pytest.mark.parametrize("processes", [1, 2])
def test_resuming(results, name, processes):
    """Each number of processes goes on from a checkpoint as if it had not stopped, its reference too."""
    logged = results[processes][name]
    for left, right in zip(logged["resumed"], logged["lines"], strict=True):
        assert left == pytest.approx(right, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", SHARDED)
def test_sharded_models(sharded, name):
    """FSDP2 shards policy and reference, head included, and changes nothing."""
    assert_same(sharded[2][name], sharded[1][name])


def test_sharded_reference_resumes(sharded):
    """A reference that follows is gathered into the checkpoint and spread again."""
    logged = sharded[2]["copy that follows"]
    for left, right in zip(logged["resumed"], logged["lines"], strict=True):
        assert left == pytest.approx(right, rel=1e-5, abs=1e-6)
