"""What must not be found: on identical trees, after reformatting or modernising annotations, in patch releases.

    python guard_corpus/upstream_noise.py [VERSION...]

Reformatting writes every file anew from its syntax tree; modernising lets ruff rewrite annotations and imports.
"""

import ast
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from sternpost.guard.diff import compare
from sternpost.guard.extract import extract
from sternpost.guard.findings import Finding, judge
from sternpost.guard.packages import locate
from sternpost.guard.settings import Settings
from sternpost.guard.versions import diff, read_version

CACHE = Path(__file__).parents[1] / ".nox" / "corpus"
VERSIONS = ("0.9.6", "0.17.0", "1.0.0", "1.16.0")
PATCHES = (
    *(("0.9.4", "0.9.6"), ("0.12.0", "0.12.2"), ("0.15.0", "0.15.2"), ("0.16.0", "0.16.1"), ("0.18.0", "0.18.2")),
    *(("0.22.0", "0.22.2"), ("0.25.0", "0.25.1"), ("0.26.0", "0.26.2"), ("0.27.0", "0.27.2"), ("0.29.0", "0.29.1")),
    *(("1.5.0", "1.5.1"), ("1.7.0", "1.7.1"), ("1.9.0", "1.9.2"), ("1.14.0", "1.14.2")),
)


def reformatted(folder: Path) -> None:
    for file in folder.rglob("*.py"):
        file.write_text(ast.unparse(ast.parse(file.read_text(encoding="utf-8"))), encoding="utf-8")


def modernised(folder: Path) -> None:
    rules = "--select=UP006,UP007,UP035,UP037,UP045,FA100,I001"
    options = ("--isolated", "--quiet", "--fix", "--unsafe-fixes", "--target-version=py311", rules)
    subprocess.run((sys.executable, "-m", "ruff", "check", *options, str(folder)), check=False, capture_output=True)
    subprocess.run((sys.executable, "-m", "ruff", "format", "--isolated", "-q", str(folder)), check=True)


def told(settings: Settings, change) -> list[Finding]:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / settings.package.name
        shutil.copytree(settings.package, copy)
        change(copy)
        moved = replace(settings, package=copy, root=Path(scratch))
        return judge(compare(extract(settings), extract(moved)))


def main(versions: list[str]) -> None:
    changes = {"identical": lambda _: None, "reformatted": reformatted, "modernised": modernised}
    counts = dict.fromkeys(changes, 0)
    for version in versions or VERSIONS:
        settings = locate(f"trl=={version}", CACHE)
        for name, change in changes.items():
            findings = told(settings, change)
            counts[name] += len(findings)
            for finding in findings:
                print(name, version, finding.rule, finding.says)
    patches = {}
    for old, new in () if versions else PATCHES:
        findings = diff(*(read_version(f"trl=={v}", CACHE) for v in (old, new))).findings
        patches[f"{old}->{new}"] = sum(finding.blocking for finding in findings)
    print("CORPUS", json.dumps({"table": "upstream_noise", **counts, "breaks_in_patch_releases": patches}))


if __name__ == "__main__":
    main(sys.argv[1:])
