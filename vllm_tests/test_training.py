"""GRPO through a real server, which is killed on the way."""

import threading
from pathlib import Path

import pytest
from datasets import Dataset

from sternpost import GRPOConfig, GRPOTrainer
from vllm_tests.policy import tiny_policy, tokenizer
from vllm_tests.server import Served

STEPS = 4


def trained(served: Served, directory: Path, kill_in: int | None = None) -> list[dict[str, float]]:
    """Log lines of a short run; the server is killed while it draws for a step."""
    killers: list[threading.Thread] = []

    def reward(completion_ids: list[list[int]], trainer_state, **kwargs) -> list[float]:
        if kill_in is not None and trainer_state.global_step == kill_in - 1:
            killers.append(served.kill_when_busy(served.kill))
        return [sum(token % 2 for token in ids) / len(ids) for ids in completion_ids]

    args = GRPOConfig(
        output_dir=str(directory), max_steps=STEPS, per_device_train_batch_size=8, num_generations=4,
        max_completion_length=200, learning_rate=1e-3, bf16=False, use_cpu=True, report_to="none", logging_steps=1,
        save_strategy="no", use_vllm=True, vllm_mode="server", vllm_server_base_url=served.url,
        vllm_server_timeout=900.0, disable_tqdm=True,
    )  # fmt: skip
    rows = Dataset.from_dict({"prompt": ["one two three", "the ship can steer", "the sternpost stands", "so that"]})
    trainer = GRPOTrainer(tiny_policy(0), reward, args, rows, processing_class=tokenizer())
    trainer.train()
    for killer in killers:
        killer.join()
    return [line for line in trainer.state.log_history if "loss" in line]


def test_a_run_through_a_kill(served, tmp_path):
    """Every step is learned from completions of its own weights, and equals that of a run in which nothing happened."""
    starts = served.starts
    straight = trained(served, tmp_path / "straight")
    killed = trained(served, tmp_path / "killed", kill_in=2)
    assert served.starts == starts + 1
    assert len(killed) == STEPS
    for line, expected in zip(killed, straight, strict=True):
        assert line["sampling/sampling_logp_difference/max"] < 1e-3
        for name in ("reward", "loss", "grad_norm", "completions/mean_length"):
            assert line[name] == pytest.approx(expected[name], abs=1e-4, rel=1e-3)
