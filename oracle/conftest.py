"""Settings of the comparison, and the line `ORACLE {json}` that sums it up."""

import json
import os

os.environ.update({
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "WANDB_MODE": "disabled",
})  # fmt: skip

import datasets
import pytest
import torch
import transformers

ROOMS = ("sft", "dpo", "reward", "grpo", "rloo")
pytest.register_assert_rewrite(
    "oracle.compare", "oracle.online", "oracle.online_proofs", *(f"oracle.{room}.explained" for room in ROOMS)
)

DIFFERENCES: dict[str, dict[str, list[float]]] = {room: {"loss": [], "grad_norm": [], "update": []} for room in ROOMS}


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    """One thread, so that sums are made in the same order; no progress bars; every data set is prepared anew."""
    torch.set_num_threads(1)
    datasets.disable_caching()
    transformers.utils.logging.set_verbosity_error()


@pytest.fixture
def differences(request: pytest.FixtureRequest) -> dict[str, list[float]]:
    """Relative differences of all cases of a room, for the summary."""
    return DIFFERENCES[request.path.parent.name]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    outcomes = {name: terminalreporter.getreports(name) for name in ("passed", "failed", "error")}

    def count(outcome: str, room: str, test: str = "") -> int:
        return sum(f"/{room}/" in report.nodeid and test in report.nodeid for report in outcomes[outcome])

    summary = {
        room: {
            "cases": sum(count(outcome, room, "::test_equal") for outcome in outcomes),
            "equal": count("passed", room, "::test_equal"),
            "explained": count("passed", room, "::test_explained"),
            "failed": count("failed", room) + count("error", room),
            "worst": {name: float(f"{max(values):.1e}") for name, values in DIFFERENCES[room].items() if values},
        }
        for room in ROOMS
        if any(count(outcome, room) for outcome in outcomes)
    }
    terminalreporter.write_line("ORACLE " + json.dumps(summary))
