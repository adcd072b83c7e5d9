"""One verdict in every format: the same breaks, places and remedies."""

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sternpost.guard.check import Verdict
from sternpost.guard.cli import _FORMATS
from sternpost.guard.facts import Origin, Problem
from sternpost.guard.findings import Witness
from sternpost.guard.report import FORMATS

from . import trees

OLD = "__all__ = ['f', 'g']\ndef f(a, b=1): ...\ndef g(x='<b>'): ...\n"
NEW = "__all__ = ['f', 'g', 'h']\ndef f(a, b=2): ...\ndef g(x='<i>'): ...\ndef h(): ...\n"


@pytest.fixture
def verdict(tmp_path: Path) -> Verdict:
    """Two breaks, one of them witnessed, an addition, and one complaint of each sort."""
    found = trees.checked(tmp_path, {"lib.py": OLD}, {"lib.py": NEW})
    first, *others = found.findings
    witness = Witness("from lib import f\nassert f", None, "AssertionError: 2")
    return replace(
        found,
        findings=(replace(first, witness=witness), *others),
        stale="api_snapshots/next.txt is out of date.",
        entries=(Problem(Origin("api_snapshots/except.toml", 3), "has ended"),),
        problems=(Problem(Origin("lib.py", 7), "cannot be parsed: 100%\nnever"),),
        overdue=(Problem(Origin("lib.py", 2), "`lib.f: a` was to go by 1.0"),),
        release=("no fragment says so",),
    )


def test_every_format_can_be_asked_for():
    """On the command line by the names that the reports have."""
    assert tuple(FORMATS) == _FORMATS


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_tells_all(name: str, verdict: Verdict):
    """What broke, the place, and everything else that fails the check."""
    told = unescape(FORMATS[name](verdict))
    for words in (
        *("argument-default-changed", "The default of argument `b` of `lib.f` changed: 1 -> 2.", "has ended"),
        *("was to go by 1.0", "no fragment says so", "is out of date", "cannot be parsed"),
    ):
        assert words in told, words
    if name != "github":  # where a line of a diff is all there is
        assert re.search(r"lib\.py:2|\"uri\": \"lib\.py\"|\"file\": \"lib\.py\"", told)


def test_sarif_is_as_code_hosts_want_it(verdict: Verdict):
    """Version, rules, levels, places and what tells results apart."""
    data = json.loads(FORMATS["sarif"](verdict))
    assert data["version"] == "2.1.0"
    (run,) = data["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted({result["ruleId"] for result in run["results"]})
    assert {result["level"] for result in run["results"]} == {"error"}
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "lib.py"}, "region": {"startLine": 2}}
    prints = [result["partialFingerprints"]["subject"] for result in run["results"]]
    assert len(prints) == len(set(prints)) == 7


def test_annotations_are_commands_of_one_line(verdict: Verdict):
    """Percent signs and line ends of messages are escaped; the last line is the verdict."""
    *commands, last = FORMATS["github"](verdict).splitlines()
    assert [command.split(" ")[0] for command in commands] == ["::error"] * 7
    assert commands[0].startswith("::error file=lib.py,line=2,title=argument-default-changed::The default")
    assert "100%25%0Anever" in commands[-1]
    assert last.startswith("guard: cannot tell")


def test_markdown_has_a_chapter_for_each_kind(verdict: Verdict):
    """Breaks with their consumers first, then what is new, then what is to be put right."""
    told = FORMATS["markdown"](verdict)
    assert re.findall("^## (.*)", told, flags=re.M) == ["Breaks", "New", "To be put right"]
    assert "  ```python\n  from lib import f\n  assert f\n  ```" in told
    assert '- allow: `rule = "argument-default-changed", subject = "lib.f(b)"`' in told


class Tags(HTMLParser):
    """Which elements are open, which resources are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.asked += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_by_itself(verdict: Verdict):
    """Well-formed, no script, nothing from elsewhere, and text of the package is text."""
    told = FORMATS["html"](verdict)
    tags = Tags()
    tags.feed(told)
    assert (tags.open, tags.asked) == ([], [])
    assert "<script" not in told
    assert "'&lt;b&gt;'" in told.replace("&#x27;", "'")
    assert "<b>'" not in told
    assert "works on the last release, fails here: AssertionError: 2" in told
