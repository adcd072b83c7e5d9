"""The table of a run, for people (Markdown) and programs (JSON)."""

import datetime
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

UNITS = {
    "seconds": "s",
    "tokens_per_second": "tokens/s",
    "generated_per_second": "tokens/s",
    "growth_mib": "MiB",
    "peak_mib": "MiB",
}
PACKAGES = ("sternpost", "trl", "torch", "transformers", "datasets", "tokenizers", "accelerate")


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor,
        "processors": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def shown(value: float | None, metric: str) -> str:
    return "" if value is None else f"{value:.0f} MiB" if UNITS[metric] == "MiB" else f"{value:.3g} {UNITS[metric]}"


def line(verdict: dict[str, Any]) -> str:
    metric = verdict["metric"]
    bound = "≤" if UNITS[metric] == "MiB" or verdict["row"] == "import" else "≥"
    cells = [
        verdict["row"],
        shown(verdict["peer_best"], metric),
        shown(verdict["ours"], metric),
        f"{verdict['ratio']:.2f}",
        f"{bound} {verdict['must']:g}",
        f"{verdict['aim']:g}",
        shown(verdict.get("peer_default"), metric),
        shown(verdict.get("ours_default"), metric),
        f"{verdict['ratio_default']:.2f}" if "ratio_default" in verdict else "",
        f"≥ {verdict['default_must']:g}" if "default_must" in verdict else "",
        f"{verdict['ratio_bfloat16']:.2f}" if "ratio_bfloat16" in verdict else "",
        "yes" if verdict["passed"] else "**no**",
    ]
    return "| " + " | ".join(cells) + " |"


def markdown(verdicts: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """The table, and below it what it was measured on."""
    head = (
        "row",
        "TRL best",
        "ours",
        "ratio",
        "must",
        "aim",
        "TRL default",
        "ours default",
        "ratio",
        "must",
        "bfloat16",
        "passed",
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *(line(verdict) for verdict in verdicts), ""]
    lines += [f"- {name}: {json.dumps(value)}" for name, value in about.items()]
    lines += [f"- {verdict['row']}: {reason}" for verdict in verdicts for reason in verdict["differences"]]
    return "\n".join(lines) + "\n"


def store(verdicts: list[dict[str, Any]], about: dict[str, Any], folder: Path, name: str) -> str:
    """Write `name`.md and `name`.json. Returns the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(verdicts, about)
    (folder / f"{name}.md").write_text(text)
    (folder / f"{name}.json").write_text(json.dumps({"about": about, "rows": verdicts}, indent=1) + "\n")
    return text
