"""A scan in each format, and the guide to it."""

import json
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from sternpost.guard.scan.hits import REMEDIES, RULES
from sternpost.guard.scan.report import FORMATS
from sternpost.guard.scan.scan import Scan

from .projects import BASE, scanned

CODE = "from lib import pad\npad(1, value=2)\n"
NEW = BASE.replace("value=0", "padding_value=0")


@pytest.fixture
def found(tmp_path: Path) -> Scan:
    return scanned(tmp_path, CODE, BASE, NEW)


def test_text_says_what_where_and_what_to_do(found: Scan):
    """The line of the project, both places in the package, the remedy, and one line of verdict."""
    text = FORMATS["text"](found)
    assert "ERROR argument-gone: `lib.pad` no longer takes `value`." in text
    assert "do:   `padding_value` is probably the same thing." in text
    assert "app.py:2 | pad(1, value=2)" in text
    line = [text.startswith("def pad(") for text in NEW.splitlines()].index(True) + 1
    assert f"new:  lib/__init__.py:{line} (lib 2.0)" in text
    assert text.splitlines()[-1].startswith("guard scan: project breaks from lib 1.0 to lib 2.0: 1 error, 0 warnings")


def test_json_has_every_hit(found: Scan):
    """With its place, symbol and cause."""
    data = json.loads(FORMATS["json"](found))
    (hit,) = data["hits"]
    assert (hit["file"], hit["line"], hit["symbol"], hit["level"]) == ("app.py", 2, "lib.pad(value)", "error")
    assert (data["format"], data["exit"], data["from"]["version"]) == (1, 1, "1.0")


def test_sarif_is_what_code_hosts_read(found: Scan):
    """Version, rules by index, one location for each result."""
    data = json.loads(FORMATS["sarif"](found))
    (run,) = data["runs"]
    (result,) = run["results"]
    assert data["version"] == "2.1.0"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "argument-gone"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 2}


def test_sarif_gives_files_as_uris(tmp_path: Path):
    """Whatever they are called."""
    data = json.loads(FORMATS["sarif"](scanned(tmp_path, {"a b%.py": CODE}, BASE, NEW)))
    (result,) = data["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "a%20b%25.py"}


def test_annotations_keep_to_their_line(tmp_path: Path):
    """Whatever a message holds, it cannot start a command of its own."""
    code = {"a,b.py": CODE}
    text = FORMATS["github"](scanned(tmp_path, code, BASE, NEW))
    assert text.startswith("::error file=a%2Cb.py,line=2,title=argument-gone::")
    assert text.count("::") == 2


def test_markdown_lists_by_level(found: Scan):
    """For an issue."""
    text = FORMATS["markdown"](found)
    assert "## Breaks" in text
    assert "- `app.py:2` `` pad(1, value=2) ``" in text


def test_levels_are_three():
    """Each rule has one of them, a sentence, and a remedy for where nothing better is known."""
    assert {level for level, _ in RULES.values()} == {"error", "warning", "note"}
    assert all(says[0].islower() and not says.endswith(".") for _, says in RULES.values())
    assert list(REMEDIES) == list(RULES)


def test_the_guide_lists_the_hits():
    """Each rule with its level and sentence, in their order."""
    guide = (Path(__file__).parents[3] / "docs" / "guard.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (error|warning|note) \| (.*) \|$", guide, flags=re.M)
    assert rows == [(rule, level, says) for rule, (level, says) in RULES.items()]


def test_nothing_of_the_project_commands_a_terminal(tmp_path: Path):
    """Escape sequences in a line of its source are shown, not obeyed."""
    found = scanned(tmp_path, 'from lib import pad\npad("\x1b[31m", value=2)\n', BASE, NEW)
    for kind in ("text", "markdown"):
        assert "\x1b" not in FORMATS[kind](found)
        assert "\ufffd[31m" in FORMATS[kind](found)


def test_markdown_is_read_as_it_is_meant(found: Scan):
    """A heading for each level, an item for each cause, and below it one for each line."""
    tokens = MarkdownIt().parse(FORMATS["markdown"](found))
    kinds = [token.type for token in tokens]
    assert kinds.count("heading_open") == 2
    assert kinds.count("list_item_open") == 2
    assert [t.content for t in tokens if t.type == "inline" and "pad(1" in t.content] == [
        "`app.py:2` `` pad(1, value=2) ``"
    ]
