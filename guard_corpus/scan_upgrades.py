"""Upgrades whose breaks were established by running them: `python guard_corpus/scan_upgrades.py`.

`scan_upgrades.jsonl` names the project, both versions and the causes, each as a file and a part of a symbol. Recall
counts causes that an error or warning names, precision the errors that belong to a cause. `--errors` lists every error.
Times are processor seconds of the whole scan from source, after the start of Python, and of a survey over `RANGE`.
"""

import json
import sys
import time

from scan_history import CACHE, HERE, release

from sternpost.guard.scan.ranges import survey
from sternpost.guard.scan.scan import read_library, read_project, scan

RANGE = ("1.0.0", "1.1.0", "1.3.0", "1.4.0", "1.5.1", "1.6.0", "1.7.1", "1.8.0", "1.9.0", "1.10.0", "1.11.0", "1.14.2")


def main(arguments: list[str]) -> None:
    for line in (HERE / "scan_upgrades.jsonl").read_text().splitlines():
        case = json.loads(line)
        started = time.process_time()
        project = read_project(release(case["project"]), "trl")
        old, new = (read_library(case[side], "trl", CACHE) for side in ("old", "new"))
        hits = scan(project, old, new, case["project"]).hits
        seconds = time.process_time() - started
        firm = [hit for hit in hits if hit.level != "note"]
        errors = [hit for hit in hits if hit.level == "error"]

        def belongs(hit, cause) -> bool:
            return hit.contact.place.file.endswith(cause[0]) and cause[1] in hit.symbol

        found = [cause for cause in case["causes"] if any(belongs(hit, cause) for hit in firm)]
        right = [hit for hit in errors if any(belongs(hit, cause) for cause in case["causes"])]
        same = len(scan(project, old, old, case["project"]).hits)
        for hit in errors if "--errors" in arguments else ():
            print("error", hit.rule, hit.place, hit.symbol, hit in right)
        started = time.process_time()
        surveyed = survey(project, old, (read_library(version, "trl", CACHE) for version in RANGE), case["project"])
        table = {
            "table": "scan-upgrades",
            "project": case["project"],
            "pair": f"{case['old']} -> {case['new']}",
            "causes": f"{len(found)}/{len(case['causes'])}",
            "errors": f"{len(right)}/{len(errors)}",
            "warnings": len(firm) - len(errors),
            "notes": len(hits) - len(firm),
            "same-version": same,
            "seconds": round(seconds, 1),
            "works-with": surveyed.works,
            "range-seconds": round(time.process_time() - started, 1),
        }
        print("CORPUS", json.dumps(table))


if __name__ == "__main__":
    main(sys.argv[1:])
