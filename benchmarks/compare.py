"""From measurements to a verdict: first whether both libraries computed the same, then how much faster or smaller."""

from statistics import median
from typing import Any

from rows import OURS, PEER, Row

Found = dict[str, list[dict[str, Any]]]
"""Library -> its measurements, one per round."""

TOLERANCES = {
    "sft": {"best": 1e-5, "default": 2e-2, "bfloat16": 2e-3},
    "dpo": {"best": 1e-4, "default": 2e-2, "bfloat16": 2e-2},
    "reward": {"best": 1e-5, "default": 2e-2, "bfloat16": 2e-2},
}
ONLINE_TOLERANCES = {"same": 1e-4, "best": 1e-2, "default": 1e-2, "bfloat16": 1e-2}
"""Relative difference that is accepted online: of gradient norms when both libraries drew by the same random numbers,
else of the mean entropy of what was drawn from."""
"""Relative difference of the losses that is accepted, by method. By default the libraries may compute in different
dtypes. DPO's loss of about 0.7 is made of differences between sums of 256 log-probabilities, about -2700, which the
peer adds up in float32: a step of that is 2.4e-4, times beta = 0.1 and four sums."""


def judge(row: Row, found: dict[str, Found]) -> dict[str, Any]:
    """The verdict on one row, from its variants."""
    values = {variant: {library: middle(row, runs) for library, runs in of.items()} for variant, of in found.items()}
    best = values["best"]
    ratio = best[OURS] if row.name == "import" else quotient(row, best)
    different = [reason for variant, runs in found.items() for reason in differences(row, variant, runs)]
    verdict = {
        "row": row.name,
        "metric": row.metric,
        "peer_best": best[PEER],
        "ours": best[OURS],
        "ratio": ratio,
        "must": row.must,
        "aim": row.aim,
    }
    passed = not different and (ratio <= row.must if row.smaller_is_better else ratio >= row.must)
    for name in row.variants[1:]:
        of = values[name]
        verdict |= {f"peer_{name}": of[PEER], f"ours_{name}": of[OURS], f"ratio_{name}": quotient(row, of)}
    if row.default_must is not None:
        verdict["default_must"] = row.default_must
        passed = passed and verdict["ratio_default"] >= row.default_must
    if row.kind == "online":
        timed = {variant: runs for variant, runs in found.items() if variant != "same"}
        verdict["memory"] = {variant: memory(runs) for variant, runs in timed.items()}
        verdict["difference"] = {variant: online_difference(variant, runs) for variant, runs in found.items()}
        verdict["generating"] = {variant: generating(runs) for variant, runs in timed.items()}
    if row.kind == "train":
        verdict["memory"] = {variant: memory(runs) for variant, runs in found.items()}
        verdict["loss_difference"] = {variant: loss_difference(runs) for variant, runs in found.items()}
    spread = {library: [round(run[row.metric], 3) for run in runs] for library, runs in found["best"].items()}
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in verdict.items()}
    return rounded | {"spread": spread, "differences": different, "passed": passed}


def middle(row: Row, runs: list[dict[str, Any]]) -> float:
    return median(run[row.metric] for run in runs)


def quotient(row: Row, values: dict[str, float]) -> float:
    """How much better we are; for memory, our share of the peer's."""
    if row.metric == "seconds":
        return values[PEER] / values[OURS]
    return values[OURS] / values[PEER]


def memory(runs: Found) -> dict[str, dict[str, int]]:
    """Median resident memory in MiB before training, at its peak, and the growth."""
    names = ("before_mib", "peak_mib", "growth_mib")
    return {library: {name: round(median(run[name] for run in of)) for name in names} for library, of in runs.items()}


def mean_loss(run: dict[str, Any]) -> float:
    """Mean over all learned tokens."""
    return sum(loss * count for loss, count in zip(run["losses"], run["learned"], strict=True)) / sum(run["learned"])


def loss_difference(runs: Found) -> float:
    """Largest relative difference between the libraries: of every step, or of the mean if their batches differ."""
    peer, ours = runs[PEER][0], runs[OURS][0]
    if peer["learned"] == ours["learned"]:
        pairs = zip(peer["losses"], ours["losses"], strict=True)
        return max(abs(a - b) / abs(a) for a, b in pairs)
    return abs(mean_loss(peer) - mean_loss(ours)) / mean_loss(peer)


def online_difference(variant: str, runs: Found) -> float:
    """Largest relative difference between the libraries, see `ONLINE_TOLERANCES`."""
    peer, ours = runs[PEER][0], runs[OURS][0]
    if variant == "same":
        pairs = zip(peer["grad_norms"], ours["grad_norms"], strict=True)
        return max(abs(a - b) / abs(a) for a, b in pairs)
    a, b = (sum(run["entropies"]) / len(run["entropies"]) for run in (peer, ours))
    return abs(a - b) / a


def generating(runs: Found) -> dict[str, float]:
    """Median share of a step that is generation."""
    return {library: round(median(run["generating"] for run in of), 2) for library, of in runs.items()}


def differences(row: Row, variant: str, runs: Found) -> list[str]:
    """Why the two libraries did not do the same work, so that their times cannot be compared."""
    peer, ours = runs[PEER][0], runs[OURS][0]
    found = []
    if row.kind == "online":
        difference = online_difference(variant, runs)
        if not difference <= ONLINE_TOLERANCES[variant]:
            found.append(f"{variant}: {'gradients' if variant == 'same' else 'entropies'} differ by {difference:.1e}")
        if variant == "same" and peer["completions"] != ours["completions"]:
            found.append("same: the same random numbers drew other completions")
        if variant != "default" and peer["bf16"] != ours["bf16"]:
            found.append(f"{variant}: different dtypes")
    if row.kind == "train":
        difference = loss_difference(runs)
        if not difference <= TOLERANCES[row.method][variant]:
            found.append(f"{variant}: losses differ by {difference:.1e}")
        if sum(peer["learned"]) != sum(ours["learned"]):
            found.append(f"{variant}: {sum(peer['learned'])} and {sum(ours['learned'])} tokens learned")
        if variant != "default" and peer["bf16"] != ours["bf16"]:
            found.append(f"{variant}: different dtypes")
    if row.kind == "prepare" and peer["tokens"] != ours["tokens"]:
        found.append(f"{variant}: {peer['tokens']} and {ours['tokens']} tokens prepared")
    return found
