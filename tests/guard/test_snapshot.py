"""The text form of snapshots: whatever the facts hold, they come back as they were, one per line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost.guard.facts import KINDS, Fact, Origin, Snapshot, make_fact
from sternpost.guard.snapshot import HEADER, SnapshotError, parse, parse_fact, render, render_fact

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
FACTS = st.builds(
    lambda kind, owner, name, details: make_fact(kind, owner, name, None, **details),
    st.sampled_from(sorted(KINDS)),
    TEXT.filter(bool),
    TEXT,
    st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), TEXT, max_size=4),
)


@given(facts=st.lists(FACTS, max_size=12))
def test_facts_survive_their_text(facts: list[Fact]):
    """Quotes, newlines, control characters, `=` and `#` in any place, and any script."""
    snapshot = Snapshot.of(facts)
    assert parse(render(snapshot.facts), "a.txt").facts == snapshot.facts


@given(fact=FACTS)
def test_a_fact_is_one_line_of_ascii(fact: Fact):
    """So that `git diff`, `sort` and `grep` work on it, and no character of it can pose as another."""
    line = render_fact(fact)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.isprintable()


@given(facts=st.lists(FACTS, max_size=8), order=st.randoms())
def test_the_text_is_sorted_whatever_the_order_of_the_facts(facts: list[Fact], order):
    """The lines are in the order of `sort` in the C locale."""
    text = render(Snapshot.of(facts).facts)
    assert text.splitlines()[1:] == sorted(text.splitlines()[1:])
    shuffled = list(Snapshot.of(facts).facts)
    order.shuffle(shuffled)
    assert render(shuffled) == text


def test_plain_words_stay_plain():
    """A reader sees Python's own spelling wherever it has no blanks."""
    fact = make_fact("field", "lib.Config", "loss_type", None, default="'nll'", type="list[str] | None")
    assert render_fact(fact) == "field lib.Config loss_type default='nll' type=\"list[str] | None\""


def test_facts_know_their_line():
    """A finding shows where the old promise stands."""
    snapshot = parse(f"{HEADER}\n\n# a comment\nrow lib.sft text\n", "0.1.0.txt")
    assert snapshot.facts[0].origin == Origin("0.1.0.txt", 4)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense lib.a", "a fact is"),
        ("row", "a fact is"),
        ("row lib.sft text more", "a fact is"),
        ("row lib.sft required=yes text", "cannot read"),
        ("row=1 lib.sft", "cannot read"),
        ('row lib.sft "text', "cannot read"),
        ('row lib.sft "\\x"', "not a JSON string"),
    ],
)
def test_what_is_no_fact_is_refused(line: str, problem: str):
    """With file and line, so that a merge gone wrong is found."""
    with pytest.raises(SnapshotError, match=rf"^a\.txt:7: .*{problem}"):
        parse_fact(line, Origin("a.txt", 7))


def test_a_foreign_file_is_refused():
    """The first line says what it is."""
    with pytest.raises(SnapshotError, match="first line"):
        parse("row lib.sft text\n", "a.txt")


def test_a_fact_that_is_stated_twice_is_refused():
    """Which of the two holds is not for the guard to choose."""
    with pytest.raises(SnapshotError, match=r"a\.txt:3: states `row lib text` a second time"):
        parse(f"{HEADER}\nrow lib text\nrow lib text required=yes\n", "a.txt")


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str):
    """A snapshot is untrusted: whatever stands in it, the answer is facts or one error."""
    try:
        facts = parse(f"{HEADER}\n{text}", "a.txt").facts
    except SnapshotError as error:
        told = str(error)
    else:
        told = f"a.txt:{len(facts)}"
    assert told.startswith("a.txt:")
