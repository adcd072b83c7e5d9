"""Keys, anchors and declared versions."""

from pathlib import Path

from .projects import BASE, hits, rules, scanned

LOGS = "{base}\nclass T:\n    def log(self, logs):\n        logs['{key}'] = 1\n"


def test_a_renamed_metric_is_told_where_it_is_named(tmp_path: Path):
    """In any file that touches the package."""
    old, new = (LOGS.format(base=BASE, key=key) for key in ("completion_length", "completions/mean_length"))
    code = "from lib import pad\nWATCHED = ['completion_length', 'loss']\n"
    (hit,) = hits(tmp_path, code, old, new)
    assert (hit.rule, hit.level, hit.at, hit.symbol) == ("key-gone", "warning", 2, "completion_length")


def test_a_renamed_column_is_told_where_it_is_made(tmp_path: Path):
    """Also in a file that never mentions the package, as long as the project touches the module."""
    old, new = (LOGS.format(base=BASE, key=key) for key in ("chosen_input_ids", "chosen_ids"))
    code = {"a.py": "from lib import Trainer\n", "rows.py": "def row():\n    return {'chosen_input_ids': []}\n"}
    (hit,) = hits(tmp_path, code, old, new)
    assert (hit.rule, hit.level, hit.place) == ("key-gone", "note", "rows.py:2")


def test_words_of_everyday_are_not_told(tmp_path: Path):
    """A key that other modules of the package still use as well is at most a note."""
    old = {"lib/__init__.py": "a = x['loss']", "lib/b.py": "b = y['loss']"}
    new = {"lib/__init__.py": "a = 1", "lib/b.py": "b = y['loss']"}
    assert not hits(tmp_path, "import lib\nz = {'loss': 1}", old, new)


def test_anchors(tmp_path: Path):
    """Text and regular expressions that a project looks for in the package's source; they are never run."""
    code = """
import inspect, re
import lib
source = inspect.getsource(lib.Trainer)
source = source.replace("self.width = 3", "self.width = 4")
source = re.sub(r"a, b = self\\.hook\\(\\d+\\)", "", source)
source = re.sub(r"(a+)+$", "", source)
"""
    new = BASE.replace("self.width = 3", "self.width = 5").replace("a, b = self.hook", "a, c = self.hook")
    found = [hit for hit in hits(tmp_path, code, BASE, new) if hit.rule == "anchor-gone"]
    assert [hit.at for hit in found] == [5, 6]
    assert {hit.level for hit in found} == {"warning"}


def test_a_declared_range_is_told(tmp_path: Path):
    """Where the metadata says that the new version is not allowed."""
    code = {"app.py": "import lib\n", "requirements.txt": "torch\nlib>=0.5,<2  # for now\nlibrary<1\n"}
    found = scanned(tmp_path, code, BASE, BASE).hits
    assert [(hit.rule, hit.level, hit.place) for hit in found] == [("undeclared", "note", "requirements.txt:2")]


def test_methods_that_are_called_by_name(tmp_path: Path):
    """A string that names a method of a class in use is told when that method needs more."""
    old = BASE + "\nclass Worker:\n    def set_up_all(self, host): ...\n"
    code = "from lib import Worker\nsend({'method': 'set_up_all', 'args': ['h']})\n"
    found = hits(tmp_path, code, old, old.replace("self, host", "self, host, device"))
    assert [(hit.rule, hit.level, hit.at) for hit in found] == [("argument-required", "note", 2)]


def test_options_named_in_strings(tmp_path: Path):
    """A default that moved is worth a note where the option is named."""
    new = BASE.replace("beta: float", "warm_up: int = 3\n    beta: float")
    old = BASE.replace("beta: float", "warm_up: int = 2\n    beta: float")
    found = hits(tmp_path, "import lib\nfrom lib import Config\nNAMES = ['warm_up']\n", old, new)
    assert [(hit.rule, hit.level, hit.at) for hit in found] == [("default-shifted", "note", 3)]
    assert rules(found) == ["default-shifted"]
