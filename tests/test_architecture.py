"""The import rules of the design, read from the source: who may import whom, and what must stay light.

A *room* is a package of sternpost with a `contract.py`: one training method. Command line, facade, demo and reports sit
on top; everything else that is no room is a toolkit.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

LIB = Path(__file__).parents[1] / "lib"
HEAVY = {"torch", "transformers", "datasets", "accelerate", "peft", "vllm"}
ON_TOP = {"cli", "demo", "guard", "report", "experimental", "methods"}
LIGHT = ("sternpost", "sternpost.cli", "sternpost.guard")


@dataclass(frozen=True)
class Import:
    """One imported module, absolute, and when it happens."""

    module: str
    line: int
    at_import: bool
    """Runs when the importing module is imported: neither inside a function nor for type checkers only."""


def read_tree(lib: Path) -> dict[str, list[Import]]:
    """Module name -> what it imports, for every module under `lib`."""
    tree = {}
    for path in sorted(lib.rglob("*.py")):
        parts = path.relative_to(lib).with_suffix("").parts
        package = parts[:-1]
        name = ".".join(package if parts[-1] == "__init__" else parts)
        tree[name] = list(find_imports(ast.parse(path.read_text()), package, at_import=True))
    return tree


def find_imports(node: ast.AST, package: tuple[str, ...], at_import: bool) -> Iterator[Import]:
    """All imports below `node`, also of literal names by `importlib.import_module`; relative names made absolute."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else ()
            module = ".".join((*base, *(child.module or "").split("."))).rstrip(".")
            # `from a import b` may name the module a.b: both are recorded, and names that are no modules match nothing.
            yield Import(module, child.lineno, at_import)
            yield from (Import(f"{module}.{alias.name}", child.lineno, at_import) for alias in child.names)
        elif is_import_call(child):
            name = child.args[0].value
            level = len(name) - len(name.lstrip("."))
            base = package[: len(package) - level + 1] if level else ()
            yield Import(".".join((*base, name.lstrip("."))), child.lineno, at_import)
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_type_checking(child)
        yield from find_imports(child, package, at_import and not later)


def is_import_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def find_rooms(tree: dict[str, list[Import]]) -> set[str]:
    return {part(name) for name in tree if name.count(".") == 2 and name.endswith(".contract")} - ON_TOP


def part(module: str) -> str:
    """The part of sternpost that a module belongs to: `sft` of `sternpost.sft.loss`; empty for anything else."""
    names = module.split(".")
    return names[1] if len(names) > 1 and names[0] == "sternpost" else ""


def find_forbidden(tree: dict[str, list[Import]]) -> list[str]:
    """Imports between parts that the design rules out, each as 'module:line imports what: rule'."""
    rooms = find_rooms(tree)
    found = []
    for name, imports in tree.items():
        here = part(name)
        for item in imports:
            there = part(item.module)
            crosses = there != here and there != ""
            if crosses and here in rooms and there in rooms:
                rule = "rooms are islands"
            elif crosses and here and here not in rooms | ON_TOP and there in rooms | {"cli"}:
                rule = "toolkits never import rooms or commands"
            elif crosses and here in rooms and there == "cli":
                rule = "rooms never import commands"
            elif there == "experimental" and here != "experimental":
                rule = "stable never imports experimental"
            elif here == "guard" and (item.module.split(".")[0] in HEAVY or (crosses and there != "report")):
                rule = "the guard imports neither torch nor the trainers"
            else:
                continue
            found.append(f"{name}:{item.line} imports {item.module}: {rule}")
    return found


def find_weight(tree: dict[str, list[Import]], start: str) -> list[str]:
    """The chain of imports from `start` to a heavy library that importing `start` sets off; empty if there is none."""
    chains = {start: [start]}
    queue = [start]
    while queue:
        name = queue.pop(0)
        parents = [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        for module in [*parents, *(item.module for item in tree[name] if item.at_import)]:
            if module.split(".")[0] in HEAVY:
                return [*chains[name], module]
            if module in tree and module not in chains:
                chains[module] = [*chains[name], module]
                queue.append(module)
    return []


def test_the_tree_keeps_the_import_rules():
    """No stable room imports another, no toolkit a room, nothing stable an experiment, the guard nothing heavy."""
    assert find_forbidden(read_tree(LIB)) == []


def test_there_is_a_room_to_check():
    """The rules above are about rooms that exist: the checker finds the ones with a contract."""
    assert "sft" in find_rooms(read_tree(LIB))


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_stay_light(module: str):
    """Facade, command line and guard set off no import of torch or transformers, over however many modules."""
    assert find_weight(read_tree(LIB), module) == []


def find_long_functions(lib: Path, most: int = 80) -> list[str]:
    """Functions of more than `most` lines, each as 'path:line name (lines)'."""
    found = []
    for path in sorted(lib.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > most:
                    found.append(f"{path.relative_to(lib)}:{node.lineno} {node.name} ({lines} lines)")
    return found


def test_functions_can_be_read_at_once():
    """No function is longer than 80 lines; most are half of that."""
    assert find_long_functions(LIB) == []


def test_long_functions_are_found(tmp_path: Path):
    """The limit is exact, and functions inside classes count too."""
    body = "        x = 1\n"
    (tmp_path / "a.py").write_text(f"class A:\n    def fits(self):\n{body * 79}    async def long(self):\n{body * 80}")
    assert find_long_functions(tmp_path) == ["a.py:82 long (81 lines)"]


BAD_TREE = {
    "__init__.py": "",
    "sft/__init__.py": "",
    "sft/contract.py": "ROWS = {}",
    "sft/trainer.py": "from ..dpo.loss import dpo_loss\nimport torch",
    "dpo/__init__.py": "from . import loss",
    "dpo/contract.py": "ROWS = {}",
    "dpo/loss.py": "import torch\ndef f():\n    from sternpost.experimental import new",
    "models/__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sternpost.sft import trainer",
    "metrics.py": "import importlib\nimportlib.import_module('.sft.trainer', __package__)",
    "guard/__init__.py": "from . import rules",
    "guard/rules.py": "def f():\n    import transformers\nfrom ..models import nothing",
    "cli/__init__.py": "from ..options import get",
    "options.py": "from .data import rows",
    "data/__init__.py": "",
    "data/rows.py": "def f():\n    import torch\nfrom datasets import Dataset",
    "experimental/__init__.py": "",
    "experimental/new/__init__.py": "from sternpost.dpo import loss",
}


@pytest.fixture
def bad_tree(tmp_path: Path) -> dict[str, list[Import]]:
    """A made-up package that breaks each rule once, by every way of writing an import."""
    for name, source in BAD_TREE.items():
        path = tmp_path / "sternpost" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return read_tree(tmp_path)


@pytest.mark.parametrize(
    "violation",
    [
        "sternpost.sft.trainer:1 imports sternpost.dpo.loss: rooms are islands",
        "sternpost.dpo.loss:3 imports sternpost.experimental.new: stable never imports experimental",
        "sternpost.models:3 imports sternpost.sft.trainer: toolkits never import rooms or commands",
        "sternpost.metrics:2 imports sternpost.sft.trainer: toolkits never import rooms or commands",
        "sternpost.guard.rules:2 imports transformers: the guard imports neither torch nor the trainers",
        "sternpost.guard.rules:3 imports sternpost.models: the guard imports neither torch nor the trainers",
    ],
)
def test_checker_finds_each_kind_of_violation(bad_tree: dict[str, list[Import]], violation: str):
    """Absolute and relative imports, inside functions, for type checkers, and by `import_module`, are all seen."""
    assert violation in find_forbidden(bad_tree)


def test_checker_accuses_nobody_else(bad_tree: dict[str, list[Import]]):
    """A room may import toolkits and torch, an experiment may import a room, a package may import its own modules."""
    accused = {line.split(":")[0] for line in find_forbidden(bad_tree)}
    modules = ("sft.trainer", "dpo.loss", "models", "metrics", "guard.rules")
    assert accused == {f"sternpost.{module}" for module in modules}


def test_weight_is_followed_through_modules_but_not_into_functions(bad_tree: dict[str, list[Import]]):
    """The bad tree's command line loads datasets by way of two modules; its guard defers the heavy import."""
    chain = ["sternpost.cli", "sternpost.options", "sternpost.data.rows", "datasets"]
    assert find_weight(bad_tree, "sternpost.cli") == chain
    assert find_weight(bad_tree, "sternpost.guard") == []
