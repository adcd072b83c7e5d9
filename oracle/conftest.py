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

DIFFERENCES: dict[str, list[float]] = {"loss": [], "grad_norm": [], "update": []}


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    """One thread, so that sums are made in the same order; no progress bars; every data set is prepared anew."""
    torch.set_num_threads(1)
    datasets.disable_caching()
    transformers.utils.logging.set_verbosity_error()


@pytest.fixture
def differences() -> dict[str, list[float]]:
    """Relative differences of all cases, for the summary."""
    return DIFFERENCES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    outcomes = {name: terminalreporter.getreports(name) for name in ("passed", "failed", "error")}

    def count(name: str, test: str) -> int:
        return sum(test in report.nodeid for report in outcomes[name])

    summary = {
        "cases": sum(count(name, "test_equal") for name in outcomes),
        "equal": count("passed", "test_equal"),
        "explained": count("passed", "test_explained"),
        "failed": len(outcomes["failed"]) + len(outcomes["error"]),
        "worst": {name: float(f"{max(values):.1e}") for name, values in DIFFERENCES.items() if values},
    }
    terminalreporter.write_line("ORACLE " + json.dumps({"sft": summary}))
