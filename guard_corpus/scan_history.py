"""Breaks that happened, in releases of projects that had them: `python guard_corpus/scan_history.py [ID...]`.

`scan_history.jsonl` names for each case the release of the project that still had the exposed code, the two versions
of the package, the file, and words of which one must be in the symbol, sentence or remedy of a hit in that file; or why
there is no such release (`unmapped`). `--missed` lists what is not found, `--hits` what is. Releases are kept in
`.nox/corpus`; an sdist is fetched where there is no wheel.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from sternpost.guard.packages import fetch
from sternpost.guard.scan.collect import Collection
from sternpost.guard.scan.hits import Hit
from sternpost.guard.scan.library import Library
from sternpost.guard.scan.scan import read_library, read_project, scan
from sternpost.guard.settings import SettingsError

HERE = Path(__file__).parent
CACHE = HERE.parent / ".nox" / "corpus"


def release(spec: str) -> Path:
    """The wheel of a project's release, or its sdist."""
    name, version = spec.split("==")
    downloads = CACHE / "downloads"
    known = [*downloads.glob(f"{name}-{version}.tar.gz"), *downloads.glob(f"{name.replace('-', '_')}-{version}.tar.gz")]
    if known:
        return known[0]
    try:
        return fetch(name, version, CACHE)
    except SettingsError:
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name)
        subprocess.run((*command, "--dest", str(downloads), spec), check=True, capture_output=True)
        return next(downloads.glob(f"*-{version}.tar.gz"))


def finds(hit: Hit, case: dict) -> bool:
    text = " ".join((hit.symbol, hit.says, hit.fix, hit.contact.name))
    return hit.contact.place.file.endswith(case["file"]) and any(word in text for word in case["words"])


def main(arguments: list[str]) -> None:
    cases = [json.loads(line) for line in (HERE / "scan_history.jsonl").read_text().splitlines()]
    wanted = [argument for argument in arguments if not argument.startswith("--")]
    unmapped = sum("unmapped" in case for case in cases)
    cases = [case for case in cases if "unmapped" not in case and (not wanted or case["id"] in wanted)]
    libraries: dict[str, Library] = {}
    found: Counter[str] = Counter()
    started = time.process_time()
    for spec in sorted({case["project"] for case in cases}):
        project: Collection = read_project(release(spec), "trl")
        for case in cases:
            if case["project"] == spec:
                sides = [libraries.setdefault(v, read_library(v, "trl", CACHE)) for v in (case["old"], case["new"])]
                hits = [hit for hit in scan(project, *sides, spec).hits if finds(hit, case)]
                found[hits[0].level if hits else "missed"] += 1
                if "--missed" in arguments and not hits:
                    print("missed", case["id"], spec, case["old"], case["new"], case["file"], case["words"])
                for hit in hits[:3] if "--hits" in arguments else ():
                    print("hit", case["id"], hit.level, hit.rule, hit.place, hit.says[:110])
        libraries.clear()
    seconds = round(time.process_time() - started)
    total = {"found": len(cases) - found["missed"], "cases": len(cases), "unmapped": unmapped, "seconds": seconds}
    print("CORPUS", json.dumps({"table": "scan-history", **found, **total}))


if __name__ == "__main__":
    main(sys.argv[1:])
