"""Two processes train what one does, with GRPO and with RLOO: losses, gradients, metrics, weights."""

import json
from pathlib import Path

import pytest

from ..processes import FSDP2, launch

SCRIPT = Path(__file__).with_name("distributed_run.py")
CASES = {
    "dapo": {},
    "grpo, reference": {"loss_type": "grpo", "beta": 0.1},
    "group over both": {"straddling": True, "scale_rewards": "batch"},
    "off policy": {"num_iterations": 2, "max_steps": 4, "resume": True},
    "unsure tokens": {"top_entropy_quantile": 0.4, "use_adaptive_entropy": True, "entropy_target": 9.0},
    "second epoch": {"max_steps": 9, "resume": 7},
    "replaced prompts": {"dynamic_sampling_rounds": 2, "resume": True},
    "sequence-level cispo": {"loss_type": "cispo", "importance_sampling_level": "sequence", "num_iterations": 2},
    "rloo": {"rloo": True, "normalize_advantages": True},
    "rloo, no reference": {"rloo": True, "beta": 0.0, "straddling": True},
}
"""Each with a batch of eight completions in one process, and of four in each of two."""
UNLIKE = ("epoch", "runtime", "per_second", "step_time")


def run(path: Path, processes: int, cases: dict[str, dict]) -> dict:
    """What runs in `processes` gloo processes logged."""
    out = path / f"{processes}.json"
    launch(SCRIPT, processes, str(out), json.dumps(cases))
    return json.loads(out.read_text())


def with_batch(cases: dict[str, dict], size: int, **options) -> dict[str, dict]:
    return {
        name: {
            "per_device_train_batch_size": size // (2 if case.get("straddling") else 1),
            "per_device_eval_batch_size": size, **case, **options,
        }
        for name, case in cases.items()
    }  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[int, dict]:
    """All cases in one process and in two, and the first of them accumulated in two."""
    path = tmp_path_factory.mktemp("runs")
    two = with_batch(CASES, 4) | with_batch({"accumulated": {"gradient_accumulation_steps": 2}}, 2)
    two["accumulated"]["per_device_eval_batch_size"] = 4
    return {1: run(path, 1, with_batch(CASES, 8)), 2: run(path, 2, two)}


def assert_same(ours: dict, theirs: dict) -> None:
    assert len(ours["lines"]) == len(theirs["lines"]) > 0
    for left, right in zip([*ours["lines"], ours["eval"]], [*theirs["lines"], theirs["eval"]], strict=True):
        assert set(left) == set(right)
        for name in right:
            if not any(part in name for part in UNLIKE) and name not in ("eval_loss", "eval_zeros", "zeros"):
                assert left[name] == pytest.approx(right[name], rel=1e-4, abs=1e-5), name
    assert ours["weights"] == pytest.approx(theirs["weights"], rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one(results, name):
    """Half the completions in each of two processes: same losses, gradients, metrics and weights."""
    assert_same(results[2][name], results[1][name])


def test_accumulation_in_two_processes(results):
    """Averages are over the whole optimizer step of all processes."""
    assert_same(results[2]["accumulated"], results[1]["dapo"])


def test_log_probabilities_that_only_one_process_knows(tmp_path):
    """All log the same metrics, so that nobody waits for the others; without any, there are none."""
    cases = {"one": {"told": [1]}, "none": {"told": []}}
    found = run(tmp_path, 2, with_batch(cases, 4))
    name = "sampling/sampling_logp_difference/mean"
    assert 0 < found["one"]["lines"][0][name] < 2
    assert name not in found["none"]["lines"][0]


def test_sharded_weights(tmp_path, results):
    """FSDP2 trains what one process does."""
    cases = {name: CASES[name] for name in ("dapo", "grpo, reference", "rloo")}
    found = run(tmp_path, 2, with_batch(cases, 4, **FSDP2))
    for name in cases:
        assert found[name]["sharded"]
        for left, right in zip(found[name]["lines"], results[1][name]["lines"], strict=True):
            assert left["loss"] == pytest.approx(right["loss"], rel=1e-4, abs=1e-5)
            assert left["grad_norm"] == pytest.approx(right["grad_norm"], rel=1e-3)


def test_sharded_weights_and_the_engine(tmp_path):
    """Processes draw completions of different lengths, and other prompts for different numbers of groups."""
    case = {"engine": True, "dynamic_sampling_rounds": 2, "per_device_train_batch_size": 4}
    found = run(tmp_path, 2, with_batch({"engine": case}, 4, **FSDP2))["engine"]
    assert len(found["lines"]) == 3
    assert found["lines"][0]["sampling/sampling_logp_difference/max"] < 1e-3
