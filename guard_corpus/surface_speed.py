"""Cold times on one core, in seconds of processor time: `taskset -c 0 python guard_corpus/surface_speed.py`.

A comparison is timed with snapshots that were just read again: lines are looked at when they are first asked for, so
that part of reading happens there. Memory is the peak of fresh processes, one for each command.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sternpost.guard.diff import compare
from sternpost.guard.extract import extract
from sternpost.guard.packages import locate
from sternpost.guard.snapshot import parse, render

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".nox" / "corpus"
OLD, NEW = "trl==1.15.0", "trl==1.16.0"


def process(*arguments: str, **variables: str) -> tuple[float, int]:
    """Seconds of processor time and peak memory in MB of a fresh process."""
    command = (sys.executable, "-m", "sternpost.guard", *arguments)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | variables) as started:
        _, _, usage = os.wait4(started.pid, 0)
        started.returncode = 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def best(action: Callable[[], object], times: int = 7) -> float:
    found = []
    gc.collect()
    gc.freeze()  # what this script holds is no part of what it measures
    for _ in range(times):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    old, new = (locate(spec, CACHE) for spec in (OLD, NEW))
    snapshot = ("snapshot", "--package", str(new.package), "--output", os.devnull)
    checks = [process("check") for _ in range(3)]
    snapshots = [process(*snapshot) for _ in range(3)]
    with tempfile.TemporaryDirectory() as scratch:  # nothing of either version is known there but the downloads
        (Path(scratch) / "downloads").symlink_to(CACHE / "downloads")
        cold = process("diff", OLD, NEW, STERNPOST_GUARD_CACHE=scratch)
        known = min(process("diff", OLD, NEW, STERNPOST_GUARD_CACHE=scratch) for _ in range(3))
    texts = [render(extract(settings).facts) for settings in (old, new)]  # after the processes: they count our memory
    reload = best(lambda: [parse(text, "x") for text in texts]) / 2
    reload_and_compare = best(lambda: compare(*(parse(text, "x") for text in texts)))
    table = {
        "check_here_s": round(min(checks)[0], 2),
        "snapshot_peer_s": round(min(snapshots)[0], 2),
        "extract_peer_all_s": round(best(lambda: extract(new), 3), 2),
        "facts": texts[1].count("\n") - 1,
        "reload_ms": round(1000 * reload, 1),
        "reload_with_every_fact_ms": round(1000 * best(lambda: parse(texts[1], "x").facts), 1),
        "diff_ms": round(1000 * (reload_and_compare - 2 * reload), 1),
        "diff_command_cold_s": round(cold[0], 2),
        "diff_command_known_s": round(known[0], 2),
        "peak_mb": {"check": checks[0][1], "snapshot": snapshots[0][1], "diff_cold": cold[1], "diff_known": known[1]},
    }
    print("CORPUS", json.dumps({"table": "surface_speed", **table}))


if __name__ == "__main__":
    main()
