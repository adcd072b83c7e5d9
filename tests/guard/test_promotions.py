"""Promotion and demotion are computed from the ledger and the tree."""

from datetime import date
from pathlib import Path

import pytest

from sternpost.guard.cli import main
from sternpost.guard.extract import extract
from sternpost.guard.promotion_ledger import LedgerError, read_ledger
from sternpost.guard.promotions import Promotions, Standing, report
from sternpost.guard.settings import Settings
from sternpost.guard.snapshot import render

from . import trees

TODAY = date(2026, 11, 22)
LEDGER = """
[thresholds]
promote = 1.0
demote = 0.5
[cost]
lines = 0.1
hooks = 1
lookalikes = 2
"""
TRAINER = """
\"\"\"A docstring costs nothing.\"\"\"
from transformers import Trainer

class KTOTrainer(Trainer):
    \"\"\"Nor does this one.\"\"\"

    def compute_loss(self, model, inputs):  # nor a comment
        return model(
            inputs,
        )

    def own(self): ...
"""
README = "# Paper\nx\n## Status\nx\n## Measured\nx\n"


def entry(name: str, projects: int | None = None, more: str = "", on: str = "2026-10-01") -> str:
    usage = "" if projects is None else f'usage = [{{ projects = {projects}, source = "search", on = {on} }}]\n'
    return f'[[methods]]\nname = "{name}"\n{usage}{more}'


def tree(tmp_path: Path, *entries: str, files: dict[str, str] | None = None) -> Settings:
    """A room `sft` and an experimental method `kto`."""
    known = {
        "pyproject.toml": trees.PYPROJECT,
        "lib/__init__.py": "",
        "lib/sft/__init__.py": TRAINER.replace("KTO", "SFT"),
        "lib/sft/contract.py": "",
        "lib/experimental/__init__.py": "",
        "lib/experimental/kto/__init__.py": TRAINER,
        "lib/experimental/promotions.toml": LEDGER + "".join(entries),
    }
    return trees.project(tmp_path, known | (files or {}))


def standing(settings: Settings, name: str) -> Standing:
    return next(one for one in Promotions(settings, TODAY).standings() if one.name == name)


def test_cost_is_read_from_the_tree(tmp_path: Path):
    """Code and hooks of other libraries' bases, by the weights of the ledger; comments and layout are free."""
    kto = standing(tree(tmp_path, entry("kto", 4)), "kto")
    assert (kto.lines, kto.hooks) == (6, ("KTOTrainer.compute_loss",))
    assert kto.cost == pytest.approx(1.6)
    assert kto.ratio == pytest.approx(2.5)


def test_look_alikes_cost_and_stand_in_the_way(tmp_path: Path):
    """A copy that nobody registered will be mended once instead of twice."""
    steps = "".join(f"    x = x + {number}\n    y{number} = x * 2\n" for number in range(6))
    copied = f"def f(x):\n{steps}    return x\n"
    files = {"lib/sft/loss.py": copied, "lib/experimental/kto/loss.py": copied}
    kto = standing(tree(tmp_path, entry("kto", 40), files=files), "kto")
    assert kto.lookalikes == 1
    assert "1 look-alikes registered as twins" in kto.missing


def test_what_is_missing_for_promotion(tmp_path: Path):
    """All at once, so that it can be worked off; nothing is missing when all of it is there."""
    settings = tree(tmp_path, entry("kto", 1))
    assert standing(settings, "kto").missing == (
        "a ratio of 1",
        "Paper, Status, Measured in its README.md",
        "a measured result in the ledger",
        "tests",
        "to be in a release",
    )
    files = {"lib/experimental/kto/README.md": README, "tests/experimental/kto/test_loss.py": ""}
    settings = tree(tmp_path / "ready", entry("kto", 4, 'measured = "docs/kto.md"\n'), files=files)
    settings.snapshots.mkdir()
    (settings.snapshots / "1.0.0.txt").write_text(render(extract(settings).facts))
    assert standing(settings, "kto").missing == ()
    assert standing(settings, "kto").verdict == "promote"


@pytest.mark.parametrize(("projects", "verdict"), [(0, "demote"), (1, "keep"), (None, "count who uses it")])
def test_rooms_can_be_demoted(projects: int | None, verdict: str, tmp_path: Path):
    """By the same ratio; where nobody has counted, nothing follows."""
    assert standing(tree(tmp_path, entry("sft", projects)), "sft").verdict == verdict


def test_old_counts_do_not_count(tmp_path: Path):
    """Usage is counted anew every year; of several days the last one counts, its sources together."""
    assert standing(tree(tmp_path, entry("kto", 9, on="2025-11-01")), "kto").projects is None
    counts = ", ".join(
        f'{{ projects = {number}, source = "s", on = {on} }}'
        for number, on in ((9, "2026-01-01"), (2, "2026-11-01"), (3, "2026-11-01"))
    )
    ledger = f'[[methods]]\nname = "kto"\nusage = [{counts}]\n'
    assert standing(tree(tmp_path / "several", ledger), "kto").projects == 5


def test_ledger_and_tree_belong_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Each method has one entry, and each entry a method; the table says what to do about each."""
    settings = tree(tmp_path, entry("kto", 4), entry("gone"), entry("kto"))
    text, code = report(settings, TODAY)
    assert code == 1
    assert "lib/experimental/promotions.toml: `lib.sft` has no entry" in text
    assert "there is no method `gone`" in text
    assert "`kto` has more than one entry" in text
    tree(tmp_path, entry("kto", 4), entry("sft", 4))
    assert main(["promotions", "--package", str(settings.package)]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[0].split() == ["method", "tier", "lines", "hooks", "cost", "projects", "ratio", "verdict"]
    assert "kto lacks Paper, Status, Measured in its README.md; " in told
    assert told.splitlines()[-1].startswith("promotions: projects by cost (0.1 x lines + 1 x hooks + 2 x lookalikes)")


@pytest.mark.parametrize(
    ("ledger", "message"),
    [
        ("[thresholds", "cannot be read as TOML"),
        (LEDGER.replace("promote = 1.0", 'promote = "a lot"'), "`promote` of `[thresholds]` must be a number"),
        (LEDGER.replace("hooks = 1", ""), "`hooks` of `[cost]` must be a number"),
        (f"methods = [{{ name = 'a' }}]\n{LEDGER}", "methods stand as `[[methods]]`"),
        (LEDGER + entry("kto", more="colour = 1\n"), "see `colour`"),
        (LEDGER + '[[methods]]\nsince = "1"\n', "`name` is missing"),
        (LEDGER + '[[methods]]\nname = "a"\nusage = [{ projects = 1 }]\n', "each `usage` has projects, source, on"),
        (LEDGER + entry("a", 1, on='"today"'), "`on` of a `usage` must be a date"),
    ],
)
def test_a_wrong_ledger_is_refused(ledger: str, message: str, tmp_path: Path):
    """With its name, and the line where there is one."""
    (tmp_path / "promotions.toml").write_text(ledger)
    with pytest.raises(LedgerError, match=r"^p\.toml") as told:
        read_ledger(tmp_path / "promotions.toml", "p.toml")
    assert message in str(told.value)


def test_without_a_ledger_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Exit code 2, as for all that cannot be told."""
    settings = trees.project(tmp_path, {"lib/__init__.py": ""})
    assert main(["promotions", "--package", str(settings.package)]) == 2
    assert "promotions.toml does not exist" in capsys.readouterr().err
