"""The run report: self-contained, escaped, and true to what the run has logged."""

import json
import math
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost.report import Comparison, Curves, Samples, Table, read_log_history, run_report, write_page
from sternpost.report.chart import Series, line_chart, ticks

HOSTILE = "<script>alert('x')</script> & \"quoted\" <b>"
LOG = [
    {"step": 10, "loss": 2.5, "learning_rate": 1e-3, "epoch": 0.1},
    {"step": 20, "loss": 1.5, "learning_rate": 5e-4, "epoch": 0.2},
    {"step": 20, "eval_loss": 1.75, "epoch": 0.2},
    {"step": 20, "train_runtime": 12.5, "train_loss": 2.0, "epoch": 0.2},
]


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that what opens is closed in order."""

    VOID = {"meta", "link", "img"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


def write_state(folder: Path, log: list) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}), "utf-8")


def test_report_of_a_run_shows_every_metric_and_the_totals(tmp_path):
    """Each logged metric gets a chart; what the trainer logs once at the end is a table."""
    write_state(tmp_path, LOG)
    page = Page(run_report(tmp_path, title="My run").read_text("utf-8"))
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert labels == ["loss by step", "learning_rate by step"]
    assert "evaluation, step 20: 1.75" in page.text
    assert "training, step 10: 2.5" in page.text
    assert "train_runtime" in page.text
    assert "12.5" in page.text
    assert page.text.count("My run") == 2


def test_page_loads_nothing_from_elsewhere(tmp_path):
    """No script, no link, no address: the file can be mailed and opened without a network."""
    write_state(tmp_path, LOG)
    html = run_report(tmp_path).read_text("utf-8")
    page = Page(html)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "http" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_all_text_is_escaped(tmp_path):
    """No title, name, prompt, completion, value or metric name can add an element to the page."""
    sections = [
        Table(HOSTILE, [HOSTILE], [[HOSTILE]], note=HOSTILE),
        Comparison(HOSTILE, {HOSTILE: 0.1}, {HOSTILE: 0.5}, note=HOSTILE),
        Samples(HOSTILE, [HOSTILE], [HOSTILE], [[HOSTILE]], [[True]]),
        Curves(HOSTILE, [{"step": 1, HOSTILE: 1.0, "note": HOSTILE}, {"step": 2, "eval_" + HOSTILE: 2.0}]),
    ]
    page = Page(write_page(tmp_path / "page.html", HOSTILE, sections).read_text("utf-8"))
    assert "script" not in page.tags
    assert page.tags.count("b") == 1, "the one <b> is the mark of a right completion"
    assert page.text.count(HOSTILE) >= 15


def test_state_is_taken_from_the_last_checkpoint(tmp_path):
    """A run that was interrupted has no state of its own; checkpoint 100 comes after 20."""
    write_state(tmp_path / "checkpoint-20", LOG[:1])
    write_state(tmp_path / "checkpoint-100", LOG)
    assert read_log_history(tmp_path) == LOG


def test_missing_or_broken_state_is_named(tmp_path):
    """The error says which file is missing or broken and what to do."""
    with pytest.raises(FileNotFoundError, match=r"holds trainer_state.json: call `trainer.save_state\(\)`"):
        read_log_history(tmp_path)
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step"', "utf-8")
    with pytest.raises(ValueError, match=r"trainer_state.json is not the state of a trainer"):
        read_log_history(tmp_path)


def test_values_that_are_not_finite_leave_a_gap_and_are_counted():
    """NaN and infinity neither break the drawing nor vanish without a word."""
    values = (1.0, math.nan, 2.0, 3.0, math.inf)
    svg = line_chart("loss", [Series("training", tuple(enumerate(values)))])
    assert svg.count('class="line s0"') == 2
    assert "2 logged values are not finite" in svg
    assert "nan" not in svg
    assert "inf" not in svg
    assert "No finite value" in line_chart("loss", [Series("training", ((1, math.nan),))])


def test_comparison_gives_the_change_in_points():
    """Fractions in, percent and points out."""
    text = Page(Comparison("", {"add": 0.25}, {"add": 0.75}).html()).text
    assert "25.0%" in text
    assert "75.0%" in text
    assert "+50.0" in text


def test_a_run_without_logs_is_a_page_too(tmp_path):
    """An empty history is said, not an error."""
    write_state(tmp_path, [])
    assert "logged no metric" in Page(run_report(tmp_path).read_text("utf-8")).text


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_enclose_the_values(low, spread):
    """For any range: few ticks, rising, the first not above the lowest and the last not below the highest value."""
    high = low + spread
    at = ticks(low, high)
    slack = 1e-6 * (at[1] - at[0])
    assert 2 <= len(at) <= 9
    assert at == sorted(at)
    assert at[0] <= low + slack
    assert at[-1] >= high - slack


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(-1e12, 1e12)), min_size=1, max_size=150))
def test_any_series_draws_inside_the_chart(points):
    """Whatever was logged, the curve parses and stays within its frame."""
    page = Page(line_chart("m", [Series("training", tuple(sorted(points)))]))
    for name in ("cx", "cy"):
        numbers = [float(value) for attribute, value in page.attributes if attribute == name]
        assert all(0 <= number <= 480 for number in numbers)
    assert page.tags.count("circle") <= 150
