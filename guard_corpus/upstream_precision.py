"""How many findings are true: a random sample of the stable tier, judged by hand.

    python guard_corpus/upstream_precision.py              the table, from the verdicts in upstream_judged.jsonl
    python guard_corpus/upstream_precision.py --sample     the sampled findings that have no verdict yet, to be judged

A verdict is `true` (code that relied on the old side breaks or changes silently, as the finding says), or `false`, with
a word why. Findings are drawn from the breaks that `guard diff` reports on consecutive releases.
"""

import hashlib
import json
import sys
from pathlib import Path

from sternpost.guard.findings import Finding
from sternpost.guard.versions import diff, read_version

HERE = Path(__file__).parent
CACHE = HERE.parent / ".nox" / "corpus"
JUDGED = HERE / "upstream_judged.jsonl"
SEED, SIZE = 20261122, 100
RELEASES = (
    *("0.9.6", "0.10.1", "0.11.0", "0.11.4", "0.12.0", "0.12.2", "0.13.0", "0.14.0", "0.15.2", "0.16.1", "0.17.0"),
    *("0.18.0", "0.18.2", "0.19.0", "0.20.0", "0.21.0", "0.22.0", "0.22.2", "0.23.1", "0.24.0", "0.25.0", "0.25.1"),
    *("0.26.2", "0.27.2", "0.28.0", "0.29.0", "0.29.1", "1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.1", "1.6.0"),
    *("1.7.1", "1.8.0", "1.9.0", "1.10.0", "1.11.0", "1.12.0", "1.13.0", "1.14.2", "1.15.0", "1.16.0"),
)


def all_breaks() -> list[tuple[str, str, Finding]]:
    """Every break of the stable tier, over consecutive releases."""
    found = []
    before = read_version(f"trl=={RELEASES[0]}", CACHE)
    for number in RELEASES[1:]:
        after = read_version(f"trl=={number}", CACHE)
        breaks = [finding for finding in diff(before, after).findings if finding.blocking]
        found += [(str(before.number), number, finding) for finding in breaks]
        before = after
    return found


def key(old: str, new: str, finding: Finding) -> tuple[str, str, str, str]:
    return (old, new, finding.rule, finding.subject)


def drawn(name: tuple[str, ...]) -> str:
    """A random number of each finding for itself, so that a change of the guard leaves most of the sample as it was."""
    return hashlib.sha256(f"{SEED} {name}".encode()).hexdigest()


def main(arguments: list[str]) -> None:
    found = all_breaks()
    sample = sorted(found, key=lambda item: drawn(key(*item)))[:SIZE]
    lines = JUDGED.read_text().splitlines() if JUDGED.exists() else []
    verdicts = {tuple(entry["key"]): entry for entry in map(json.loads, lines)}
    if "--sample" in arguments:
        for old, new, finding in sample:
            if key(old, new, finding) not in verdicts:
                entry = {"key": key(old, new, finding), "verdict": None, "says": finding.says, "also": finding.also}
                places = {"old": finding.old, "new": finding.new, "at": f"{finding.old_at} -> {finding.new_at}"}
                print(json.dumps(entry | places))
        return
    judged = [verdicts[key(*item)] for item in sample if key(*item) in verdicts]
    true = sum(entry["verdict"] is True for entry in judged)
    table = {"breaks": len(found), "sample": len(sample), "judged": len(judged), "true": true}
    print("CORPUS", json.dumps({"table": "upstream_precision", **table}))


if __name__ == "__main__":
    main(sys.argv[1:])
