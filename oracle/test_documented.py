"""What is proven here is what the documentation says."""

from pathlib import Path

import pytest

from .compare import Difference
from .dpo.explained import EXPLAINED as DPO
from .grpo.explained import EXPLAINED as GRPO
from .reward.explained import EXPLAINED as REWARD
from .rloo.explained import EXPLAINED as RLOO
from .sft.explained import EXPLAINED as SFT

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


@pytest.mark.parametrize(
    ("room", "explained"),
    [("SFT", SFT), ("DPO", DPO), ("Reward models", REWARD), ("GRPO", GRPO), ("RLOO", RLOO)],
)
def test_differences_are_documented(room: str, explained: dict[str, Difference]) -> None:
    """The tables of differences in the documentation are those that are proven here, word for word."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition(f"\n### {room}\n")
    rows = [line for line in section.partition("\n#")[0].splitlines() if line.startswith("| ")][1:]
    assert rows == [f"| {name} | {difference.reason} |" for name, difference in explained.items()]
