"""How long a scan takes, each in a fresh process on one core: `python guard_corpus/scan_speed.py`.

Processor seconds of the whole scan from wheels, the start of Python included, and the peak of its memory; and of a
survey of Axolotl over 45 versions of the package, whose wheels lie unpacked in the cache.
"""

import json
import subprocess
import sys
from pathlib import Path

from scan_history import CACHE, release

SCANS = {"axolotl==0.19.0": ("1.9.0", "1.16.0"), "unsloth==2026.10.9": ("1.15.0", "1.16.0")}
VERSIONS = (
    "0.7.11", "0.8.0", "0.8.6", "0.9.3", "0.9.4", "0.9.6", "0.10.1", "0.11.0", "0.11.4", "0.12.0", "0.12.2",
    "0.13.0", "0.14.0", "0.15.0", "0.15.2", "0.16.0", "0.17.0", "0.18.0", "0.19.0", "0.20.0", "0.21.0", "0.22.0",
    "0.23.1", "0.24.0", "0.25.0", "0.26.0", "0.27.0", "0.28.0", "0.29.0", "0.29.1", "1.0.0", "1.1.0", "1.2.0",
    "1.3.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0", "1.8.0", "1.9.0", "1.10.0", "1.12.0", "1.14.2", "1.15.0",
    "1.16.0",
)  # fmt: skip
PROGRAM = """
import resource, sys
from sternpost.guard.cli import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, file=sys.stderr)
"""


def timed(project: Path, *arguments: str) -> dict[str, float]:
    """Seconds and megabytes of one run of the command line."""
    command = (sys.executable, "-c", PROGRAM, "scan", str(project), "--package", "trl", "--cache", str(CACHE))
    done = subprocess.run((*command, *arguments), capture_output=True, text=True, check=True)
    seconds, peak = done.stderr.split()[-2:]
    return {"seconds": round(float(seconds), 1), "peak-mb": int(peak)}


def main() -> None:
    for spec, (old, new) in SCANS.items():
        project = release(spec)
        timed(project, "--from", old, "--to", new)  # fills the cache
        row = timed(project, "--from", old, "--to", new)
        print("CORPUS", json.dumps({"table": "scan-speed", "project": spec, "pair": f"{old} -> {new}", **row}))
    project, versions = release("axolotl==0.19.0"), ",".join(VERSIONS)
    timed(project, "--from", "1.9.0", "--range", versions)
    row = timed(project, "--from", "1.9.0", "--range", versions)
    print("CORPUS", json.dumps({"table": "scan-speed", "project": project.name, "versions": len(VERSIONS), **row}))


if __name__ == "__main__":
    main()
