"""Copies on purpose: the ledger, drift, markers, and copies that nobody registered."""

from pathlib import Path

import pytest

from sternpost.guard.cli import main
from sternpost.guard.lookalikes import look_alikes
from sternpost.guard.settings import Settings
from sternpost.guard.twins import Pair, Twins, TwinsError, plain_text, read_ledger, renamings, render_ledger
from sternpost.guard.twins_report import accept, report

from . import trees

SFT = '''
class SFTTrainer:
    # twin: lib.dpo.DPOTrainer.log
    def log(self, logs):
        """Of SFT."""
        # a comment
        mode = "train" if self.model.training else "eval"
        metrics = {key: sum(values) / len(values) for key, values in self.sft_metrics[mode].items()}
        logs = {**logs, **metrics}
        if self.is_quiet:
            logs = {}
        super().log(logs)
        self.sft_metrics[mode].clear()
        return SFTTrainer
'''
DPO = SFT.replace("SFT", "DPO").replace("lib.dpo", "lib.sft").replace("sft_", "dpo_")
DPO = DPO.replace("lib.sft.DPOTrainer", "lib.sft.SFTTrainer")
LEFT, RIGHT = "lib.sft.SFTTrainer.log", "lib.dpo.DPOTrainer.log"


def tree(root: Path, sft: str = SFT, dpo: str = DPO) -> Settings:
    return trees.project(root, {"lib/__init__.py": "", "lib/sft.py": sft, "lib/dpo.py": dpo})


def test_copies_that_differ_in_names_only_are_equal(tmp_path: Path):
    """Comments, docstrings and layout aside; the words of the paths are renamed, in strings too."""
    twins = Twins(tree(tmp_path))
    assert twins.accept(LEFT, RIGHT, "Rooms are islands.").difference == ()
    assert Twins(twins.settings).check() == ([], [])


def test_a_change_to_one_side_fails_until_the_other_changes_too(tmp_path: Path):
    """The same change on both sides leaves the accepted difference as it was."""
    settings = tree(tmp_path)
    accept(settings, (LEFT, RIGHT), "Rooms are islands.")
    change = ("super().log(logs)", "super().log(dict(logs))")
    tree(tmp_path, sft=SFT.replace(*change))
    text, code = report(settings)
    assert code == 1
    assert "gone" not in text
    assert "  new:    -    super().log(dict(logs))\n  new:    +    super().log(logs)" in text
    tree(tmp_path, SFT.replace(*change), DPO.replace(*change))
    assert report(settings)[1] == 0


def test_a_new_difference_can_be_accepted_with_a_reason(tmp_path: Path):
    """Without one it cannot; the ledger keeps it readable."""
    settings = tree(tmp_path)
    accept(settings, (LEFT, RIGHT), "Rooms are islands.")
    tree(tmp_path, dpo=DPO.replace("        return", "        self.margins = 'it''s'\n        return"))
    with pytest.raises(TwinsError, match="`--reason` is empty"):
        accept(settings, (), " ")
    assert accept(settings, (), "DPO logs margins.")[1] == 0
    assert report(settings)[1] == 0
    ledger = settings.snapshots / "twins.toml"
    (pair,) = read_ledger(ledger, "twins.toml")
    assert (pair.reason, pair.difference) == ("DPO logs margins.", ("+    self.margins = 'its'",))
    assert "\n+    self.margins" in ledger.read_text()


def test_renamings_of_the_entry_come_first(tmp_path: Path):
    """For words that the paths do not tell."""
    settings = tree(tmp_path, dpo=DPO.replace("metrics", "measures"))
    assert Twins(settings).difference(Pair(LEFT, RIGHT, "r")) != ()
    assert Twins(settings).difference(Pair(LEFT, RIGHT, "r", rename={"metrics": "measures"})) == ()
    assert renamings(Pair("a.sft.SFTTrainer.f", "a.dpo.DPOTrainer.f", "r")) == [
        ("SFTTrainer", "DPOTrainer"),
        ("SFT", "DPO"),
        ("sft", "dpo"),
    ]


def test_markers_and_entries_belong_together(tmp_path: Path):
    """A marker without an entry, an entry without a marker, and an entry without a function are told."""
    settings = tree(tmp_path)
    assert [p.message.split(",")[0] for p in Twins(settings).check()[1]] == [
        f"`{RIGHT}` is marked as a twin of `{LEFT}`",
        f"`{LEFT}` is marked as a twin of `{RIGHT}`",
    ]
    accept(settings, (LEFT, RIGHT), "r")
    tree(tmp_path, sft=SFT.replace("    # twin: lib.dpo.DPOTrainer.log\n", ""))
    (problem,) = Twins(settings).check()[1]
    assert str(problem) == f"lib/sft.py:3: needs the line `# twin: {RIGHT}` above `{LEFT}`."
    tree(tmp_path, dpo="")
    assert "there is no function" in str(Twins(settings).check()[1][0])


def test_look_alikes_that_nobody_registered_are_told(tmp_path: Path):
    """Whatever their variables are called; what differs in every other line is none."""
    copy = SFT.replace("    # twin: lib.dpo.DPOTrainer.log\n", "").replace("logs", "rows").replace("mode", "state")
    other = "class T:\n    def log(self, logs):\n" + "".join(f"        self.x{i} = logs[{i}]\n" for i in range(12))
    settings = trees.project(
        tmp_path, {"lib/__init__.py": "", "lib/sft.py": copy, "lib/kto.py": copy, "lib/other.py": other}
    )
    (found,) = look_alikes(Twins(settings))
    assert (found.left, found.right, found.alike) == ("lib.kto.SFTTrainer.log", "lib.sft.SFTTrainer.log", 1.0)
    text, code = report(settings)
    assert code == 0
    assert "alike 100%  lib.kto.SFTTrainer.log (lib/kto.py:3)" in text


def test_the_ledger_survives_being_written(tmp_path: Path):
    """Whatever stands in a difference."""
    pairs = [
        Pair("a.f", "b.f", 'with "quotes"', ("-    x = '''a'''", '+    y = "\\n"'), {"a-b": "c"}),
        Pair("a.g", "b.g", "r", ("+    z = 'x'",)),
    ]
    (tmp_path / "twins.toml").write_text(render_ledger(pairs))
    read = read_ledger(tmp_path / "twins.toml", "twins.toml")
    assert [(p.left, p.reason, p.difference, p.rename) for p in read] == [
        (p.left, p.reason, p.difference, p.rename) for p in pairs
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[twins]]\nleft = 'a'", "`right` is missing"),
        ("[[twins]]\nleft = 1", "see `left`"),
        ("[[twins]]\nleft='a'\nright='b'\nreason=' '", "`reason` is missing or empty"),
        ("twins = 3", "nothing else"),
        ("[[twins", "cannot be read as TOML"),
    ],
)
def test_a_wrong_ledger_is_refused(tmp_path: Path, text: str, message: str):
    """With the place and what an entry needs."""
    (tmp_path / "twins.toml").write_text(text)
    with pytest.raises(TwinsError, match=message):
        read_ledger(tmp_path / "twins.toml", "twins.toml")


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Drift is exit code 1, a function that does not exist is 2."""
    settings = tree(tmp_path)
    package = ("--package", str(settings.package))
    assert main(["twins", LEFT, RIGHT, "--accept", "--reason", "Rooms are islands.", *package]) == 0
    assert main(["twins", *package]) == 0
    tree(tmp_path, sft=SFT.replace("return", "assert 1\n        return"))
    assert main(["twins", *package]) == 1
    assert main(["twins", LEFT, "lib.nowhere", "--accept", "--reason", "r", *package]) == 2
    assert "is no function of lib" in capsys.readouterr().err


def test_what_is_compared_is_the_code(tmp_path: Path):
    """A function of nothing but a docstring is still a function."""
    twins = Twins(trees.project(tmp_path, {"lib.py": 'def f():\n    """Only text."""\n'}))
    node = twins.function("lib.f")
    assert node is not None
    assert plain_text(node) == "def f():\n    pass"
