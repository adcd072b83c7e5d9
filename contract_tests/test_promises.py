"""The numbers: README.md lists what is tested here, and only that."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
NUMBER = re.compile(r"([A-Z]\d+)\. ")


def listed():
    """Number -> file, from the tables of README.md."""
    return dict(
        re.findall(r"^\| ([A-Z]\d+) \| .* \| (test_\w+\.py) \|$", (HERE / "README.md").read_text(), re.MULTILINE)
    )


def docstrings():
    """(file, function, docstring) of every test but these."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and path != Path(__file__):
                yield path.name, node.name, ast.get_docstring(node) or ""


def test_every_test_says_which_promise_it_asks_for():
    """The docstring of every contract test starts with the number of a promise."""
    assert [name for _, name, text in docstrings() if not NUMBER.match(text)] == []


def test_readme_lists_every_promise_with_its_file():
    """README.md has a line for every number that tests ask for, names the file, and has no others."""
    tested = {(NUMBER.match(text)[1], file) for file, _, text in docstrings()}
    assert tested == set(listed().items())
