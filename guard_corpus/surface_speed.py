"""Cold and warm times on one core: `taskset -c 0 python guard_corpus/surface_speed.py`."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from sternpost.guard.diff import compare
from sternpost.guard.extract import extract
from sternpost.guard.packages import locate
from sternpost.guard.snapshot import parse, render

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".nox" / "corpus"


def process(*arguments: str) -> float:
    """Seconds of processor time of a fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run((sys.executable, *arguments), cwd=ROOT, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def best(action, times: int = 5) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    old, new = (locate(f"trl=={version}", CACHE) for version in ("1.15.0", "1.16.0"))
    before, after = extract(old), extract(new)
    text = render(after.facts)
    reread = parse(text, "x"), parse(render(before.facts), "x")
    snapshot = ("-m", "sternpost.guard", "snapshot", "--package", str(new.package), "--output", "-")
    table = {
        "check_here_s": round(min(process("-m", "sternpost.guard", "check") for _ in range(3)), 2),
        "snapshot_peer_s": round(min(process(*snapshot) for _ in range(3)), 2),
        "extract_peer_all_s": round(best(lambda: extract(new), 3), 2),
        "facts": len(after.facts),
        "reload_ms": round(1000 * best(lambda: parse(text, "x")), 1),
        "diff_ms": round(1000 * best(lambda: compare(reread[1], reread[0])), 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print("CORPUS", json.dumps({"table": "surface_speed", **table}))


if __name__ == "__main__":
    main()
