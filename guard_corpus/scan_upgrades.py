"""Upgrades whose breaks were established by running them: `python guard_corpus/scan_upgrades.py [PROJECT...]`.

`scan_upgrades.jsonl` names the project, the package, both versions and the causes: each a file, a part of a symbol,
and the evidence that `scan_truth.py` saw (`ran` says how where it was seen elsewhere). Recall counts causes that an
error or warning names, precision the errors that belong to a cause. `drawn`: 1 was used while the scan was built, 2 and
3 were established before the scan saw them. `--errors` lists every error.
"""

import json
import sys
from collections import Counter

from scan_history import CACHE, HERE, release

from sternpost.guard.scan.hits import Hit
from sternpost.guard.scan.scan import read_library, read_project, scan


def belongs(hit: Hit, cause: dict) -> bool:
    return hit.contact.place.file.endswith(cause["file"]) and cause["symbol"] in hit.symbol


def measure(case: dict, verbose: bool) -> Counter[str]:
    """One row."""
    package = case["package"]
    project = read_project(release(case["project"]), package)
    old, new = (read_library(case[side], package, CACHE) for side in ("old", "new"))
    hits = scan(project, old, new, case["project"]).hits
    levels = Counter(hit.level for hit in hits)
    firm = [hit for hit in hits if hit.level != "note"]
    errors = [hit for hit in hits if hit.level == "error"]
    missed = [cause for cause in case["causes"] if not any(belongs(hit, cause) for hit in firm)]
    right = [hit for hit in errors if any(belongs(hit, cause) for cause in case["causes"])]
    for hit in errors if verbose else ():
        print("error", hit.rule, hit.place, hit.symbol, hit in right)
    for cause in missed:
        print("missed", case["project"], cause["file"], cause["symbol"])
    counts = Counter(causes=len(case["causes"]), found=len(case["causes"]) - len(missed))
    counts += Counter(errors=len(errors), right=len(right))
    row = {
        "table": "scan-upgrades",
        "project": case["project"],
        "pair": f"{package} {case['old']} -> {case['new']}",
        "causes": f"{counts['found']}/{counts['causes']}",
        "errors": f"{counts['right']}/{counts['errors']}",
        "warnings": levels["warning"],
        "notes": levels["note"],
        "same-version": len(scan(project, old, old, case["project"]).hits),
        "without-remedy": sum(not hit.fix for hit in hits),
    }
    print("CORPUS", json.dumps(row), flush=True)
    return counts


def main(arguments: list[str]) -> None:
    wanted = [argument for argument in arguments if not argument.startswith("--")]
    totals: dict[int, Counter[str]] = {}
    for line in (HERE / "scan_upgrades.jsonl").read_text().splitlines():
        case = json.loads(line)
        if not wanted or case["project"] in wanted:
            total = totals.setdefault(case["drawn"], Counter())
            total.update(measure(case, "--errors" in arguments))
    for drawn, total in totals.items():
        row = {
            "recall": round(total["found"] / total["causes"], 3),
            "precision": round(total["right"] / total["errors"], 3),
        }
        print("CORPUS", json.dumps({"table": "scan-upgrades", "drawn": drawn, **total, **row}))


if __name__ == "__main__":
    main(sys.argv[1:])
