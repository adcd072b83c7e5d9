"""What an upgrade really breaks, by running it: `python guard_corpus/scan_truth.py PEER_PYTHON [PROJECT...]`.

For each case of `scan_upgrades.jsonl` two environments are made in `.nox/corpus/upgrades`, alike but for the version of
the package: the project, what `install` names, and torch with its kin from the peer's environment where `torch` is set.
In both, every module of the project is imported, the tests of its sdist are run (`tests`), and the lines of `probes`.
What fails only with the new version is printed, by its error and the innermost line of the project in its traceback:
this is what the `causes` of the case are held against, each with its `evidence`. Cases with `ran` were established
elsewhere. A name whose import fails hides what comes after: `stub` puts something in its place and runs all again.
"""

import json
import re
import subprocess
import sys
import venv
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from scan_history import CACHE, HERE, release

IMPORTS = """
import importlib, json, pkgutil, sys, traceback
failed = []
def attempt(what, run):
    try:
        run()
    except BaseException as error:
        if not isinstance(error, (KeyboardInterrupt, SystemExit)):
            failed.append((what, "".join(traceback.format_exception(error))))
package, probes = json.loads(sys.argv[1])
names = []
def top():
    found = importlib.import_module(package)
    places = getattr(found, "__path__", [])
    names.extend(m.name for m in pkgutil.walk_packages(places, package + ".", onerror=lambda name: None))
attempt("import " + package, top)
for name in names:
    attempt("import " + name, lambda: importlib.import_module(name))
for probe in probes:
    attempt(probe, lambda: exec(probe, {}))
print("FAILED" + json.dumps(failed))
"""


STUBS = """
import importlib
for path, other in {stubs}.items():
    module, _, name = path.rpartition(".")
    owner = importlib.import_module(module)
    if name not in vars(owner):
        there, _, what = other.rpartition(".")
        setattr(owner, name, getattr(importlib.import_module(there), what))
"""


def environment(case: dict, version: str, peer: str) -> Path:
    """The Python of an environment for one side, made once."""
    name = f"{case['project']}-{case['package']}-{version}".replace("==", "-")
    folder = CACHE / "upgrades" / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        if case.get("torch"):
            code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
            there = [
                subprocess.run((p, "-c", code), capture_output=True, text=True, check=True) for p in (python, peer)
            ]
            (Path(there[0].stdout.strip()) / "peer.pth").write_text(there[1].stdout)
        pip = (python, "-m", "pip", "install", "-qq")
        wanted = [f"{case['package']}=={version}", *case["install"]]
        subprocess.run((*pip, *wanted, *(["torch==2.13.0"] if case.get("torch") else [])), check=True)
        subprocess.run((*pip, "--no-deps", case["project"]), check=True)
        (folder / "ready").touch()
    return python


def failures(case: dict, python: Path) -> dict[str, str]:
    """What fails in one environment: what was tried, and the traceback."""
    variables = {"HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1", "PATH": str(python.parent)}
    found = imported(case, python, variables)
    if "stub" in case:
        stubs = python.parent.parent / "stubs"
        stubs.mkdir(exist_ok=True)
        (stubs / "sitecustomize.py").write_text(STUBS.format(stubs=case["stub"]))
        variables["PYTHONPATH"] = str(stubs)
        found |= imported(case, python, variables)
    if "tests" in case:
        report = python.parent.parent / "report.xml"
        command = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=native", f"--junitxml={report}")
        subprocess.run((*command, *case["tests"]), cwd=tests_of(case), env=variables, capture_output=True, check=False)
        for test in ElementTree.parse(report).iter("testcase"):
            for problem in (*test.findall("failure"), *test.findall("error")):
                found[f"{test.get('classname')}.{test.get('name')}"] = problem.text or ""
    return found


def imported(case: dict, python: Path, variables: dict[str, str]) -> dict[str, str]:
    """The modules that cannot be imported, and the probes that fail."""
    given = json.dumps([case["imports"], case.get("probes", [])])
    done = subprocess.run((python, "-c", IMPORTS, given), capture_output=True, text=True, env=variables, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("FAILED")), None)
    return {"python": done.stderr} if line is None else dict(json.loads(line.removeprefix("FAILED")))


def tests_of(case: dict) -> Path:
    """The unpacked sdist, without the package itself, so that the installed one is tested."""
    name, version = case["project"].split("==")
    folder = CACHE / "upgrades" / f"{name}-{version}-tests"
    if not folder.exists():
        downloads = CACHE / "downloads"
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name)
        subprocess.run((*command, "--dest", str(downloads), case["project"]), check=True, capture_output=True)
        (archive,) = [p for p in downloads.glob(f"*-{version}.tar.gz") if p.name.lower().startswith(name.lower())]
        folder.mkdir(parents=True)
        subprocess.run(("tar", "xzf", str(archive), "--strip-components=1", "-C", str(folder)), check=True)
        for own in (folder / case["imports"], folder / "src" / case["imports"]):
            if own.exists():
                own.rename(own.with_name(f"{own.name}-not-tested"))
    return folder


def told(case: dict, traceback: str) -> str:
    """The error, and the innermost line of the project."""
    frames = re.findall(rf'site-packages/({re.escape(case["imports"])}[/.][^"]*)", line (\d+)', traceback)
    error = next((line for line in reversed(traceback.strip().splitlines()) if re.match(r"[\w.]+(:|$)", line)), "?")
    return f"{error[:200]}   {':'.join(frames[-1]) if frames else '-'}"


def main(arguments: list[str]) -> None:
    peer, *wanted = arguments
    for line in (HERE / "scan_upgrades.jsonl").read_text().splitlines():
        case = json.loads(line)
        if "ran" in case or (wanted and case["project"] not in wanted):
            continue
        release(case["project"])
        old, new = (failures(case, environment(case, case[side], peer)) for side in ("old", "new"))
        causes: dict[str, list[str]] = defaultdict(list)
        for what, traceback in new.items():
            if what not in old:
                causes[told(case, traceback)].append(what)
        print(f"{case['project']}: {case['package']} {case['old']} -> {case['new']}; failing before: {len(old)}")
        for cause, where in sorted(causes.items()):
            print(f"  {len(where):4} {cause}   ({where[0]})", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
