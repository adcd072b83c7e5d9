"""Every module of the packages installed here is read without a crash: `python guard_corpus/surface_site_packages.py`.

Each package is extracted with everything that is internal, in a process of its own, so that a crash of the interpreter
is seen as one. `CORPUS {json}` counts packages, files, facts and problems; problems are files, not crashes.
"""

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

READ = """
import json, sys, time
from pathlib import Path
from sternpost.guard.extract import Extractor
from sternpost.guard.settings import Settings
package = Path(sys.argv[1])
start = time.perf_counter()
extractor = Extractor(Settings(package, package.parent, package.parent, internal=True))
snapshot = extractor.snapshot()
spent = round(time.perf_counter() - start, 1)
print(json.dumps([len(extractor.tree.files), len(snapshot.facts), [str(p) for p in snapshot.problems], spent]))
"""


def is_package(path: Path) -> bool:
    """Also one without an `__init__.py`, whose modules are there all the same."""
    named = path.is_dir() and path.name.isidentifier() and path.name != "__pycache__"
    return named and next(path.rglob("*.py"), None) is not None


def main() -> None:
    site = Path(str(importlib.util.find_spec("griffe").origin)).parents[1]  # type: ignore[union-attr]
    packages = [path for path in sorted(site.iterdir()) if path.suffix == ".py" or is_package(path)]
    counts: Counter[str] = Counter()
    for package in packages:
        done = subprocess.run((sys.executable, "-c", READ, str(package)), capture_output=True, text=True, check=False)
        counts["packages"] += 1
        if done.returncode:
            counts["crashes"] += 1
            print("CRASH", package.name, done.stderr.strip().splitlines()[-3:])
            continue
        files, facts, problems, spent = json.loads(done.stdout.splitlines()[-1])
        counts.update(files=files, facts=facts, problems=len(problems))
        if spent > 20 or problems:
            print(package.name, files, "files", facts, "facts", spent, "s", *problems[:5], sep="  ")
    print("CORPUS", json.dumps({"table": "surface_site_packages", "crashes": 0, **counts}))


if __name__ == "__main__":
    main()
