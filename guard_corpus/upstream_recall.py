"""Documented breaks of a real project against `guard diff` of its wheels: `python guard_corpus/upstream_recall.py`.

`upstream_breaks.jsonl` holds the breaks: version pair, category, symbol, and the words (`needles`) that one finding
has to hold, all of them, under a rule of the category. One `CORPUS {json}` line is the table; `--missed` lists what is
not found, `--hits` what is.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from sternpost.guard.findings import Finding
from sternpost.guard.versions import diff, read_version

HERE = Path(__file__).parent
CACHE = HERE.parent / ".nox" / "corpus"
RULES = {
    "EXP": ("name-", "module-"),
    "MOD": ("name-", "module-"),
    "OBJ": ("name-", "method-", "attribute-", "hook-"),
    "PAR": ("argument-", "field-", "name-"),
    "FLD": ("field-", "attribute-"),
    "DEF": ("field-default", "argument-default"),
    "INH": ("field-default", "argument-default"),
    "DEC": ("argument-",),
    "LIT": ("choice-",),
    "MET": ("metric-",),
    "COL": ("key-", "column-"),
    "OUT": ("result-",),
    "CLI": ("command-", "flag-", "name-"),
    "ENV": ("dependency-", "extra-"),
    "BEH": ("",),
}


def text_of(finding: Finding) -> str:
    return " ".join((finding.rule, finding.subject, finding.says, *finding.also))


def finds(finding: Finding, item: dict) -> bool:
    is_break = finding.rule != "added"
    about = any(finding.rule.startswith(start) for start in RULES[item["category"]])
    return is_break and about and all(needle in text_of(finding) for needle in item["needles"])


def main(arguments: list[str]) -> None:
    items = [json.loads(line) for line in (HERE / "upstream_breaks.jsonl").read_text().splitlines()]
    found: Counter[str] = Counter()
    known = Counter(item["category"] for item in items)
    for pair in sorted({(item["old"], item["new"]) for item in items}):
        old, new = (read_version(f"trl=={version}", CACHE) for version in pair)
        findings = diff(old, new).findings
        for item in items:
            if (item["old"], item["new"]) == pair:
                hits = [finding for finding in findings if finds(finding, item)]
                found[item["category"]] += bool(hits)
                if "--missed" in arguments and not hits:
                    print("missed", item["id"], *pair, item["category"], item["symbol"])
                if "--hits" in arguments and hits:
                    print(item["id"], item["category"], item["symbol"], "->", f"[{hits[0].tier}]", hits[0].says)
    table = {category: [found[category], known[category]] for category in sorted(known)}
    total = [sum(found.values()), len(items)]
    print("CORPUS", json.dumps({"table": "upstream_recall", "by_category": table, "total": total}))


if __name__ == "__main__":
    main(sys.argv[1:])
