"""What was generated for some rows, with its rewards; and what is logged of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..generation.trajectory import Trajectory
from ..metrics import Share
from .completions import Completion
from .groups import spread, weighted_sum, without_signal


@dataclass
class Judged:
    """Completions of some rows on this rank. Group by group, if the rows are."""

    rows: list[dict[str, Any]]
    trajectories: list[Trajectory]
    completions: list[Completion] = field(default_factory=list)
    """Text or messages."""
    rewards: Float[Tensor, "N K"] = field(default_factory=lambda: torch.zeros(0, 0))
    """Not-a-number where a reward says nothing."""
    columns: dict[str, list[Any]] = field(default_factory=dict)
    """What rewards logged of each."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What they logged of all."""

    def put(self, places: Sequence[int], others: "Judged") -> None:
        """Let others take the places of some completions."""
        for at, place in enumerate(places):
            self.rows[place], self.trajectories[place] = others.rows[at], others.trajectories[at]
            self.completions[place] = others.completions[at]
            for name in {**self.columns, **others.columns}:
                column = self.columns.setdefault(name, [None] * len(self.rows))
                column[place] = others.columns[name][at] if name in others.columns else None
        if places:
            self.rewards = self.rewards.index_copy(0, torch.tensor(places, device=self.rewards.device), others.rewards)


def reward_metrics(
    rewards: Float[Tensor, "N K"], names: Sequence[str], weights: Float[Tensor, "K"], group: int
) -> dict[str, Share]:
    """Of the completions of all ranks, whose number is the same everywhere."""
    one = torch.ones((), device=rewards.device)
    found: dict[str, Share] = {}
    for name, column in zip(names, rewards.unbind(1), strict=True):
        known = column[~column.isnan()]
        if len(known):
            found[f"rewards/{name}/mean"] = (known.sum(), one * len(known))
            found[f"rewards/{name}/std"] = (spread(known[None]).sum() * len(known), one * len(known))
    total = weighted_sum(rewards, weights)
    if not total.isnan().all():
        count = (~total.isnan()).sum()
        found["reward"] = (total.nansum(), count)
        found["reward_std"] = (spread(total[None]).sum() * count, count)
    silent = without_signal(total, group)
    found["frac_reward_zero_std"] = (silent.sum(), one * len(silent))
    return found


def length_metrics(
    trajectories: Sequence[Trajectory], device: torch.device, tools: bool
) -> tuple[dict[str, Share], dict[str, Tensor], dict[str, Tensor]]:
    """Of the completions of this rank: shares, smallest and largest. There may be none."""
    lengths = torch.tensor([float(sum(each.drawn)) for each in trajectories], device=device)
    finished = torch.tensor([each.finished for each in trajectories], device=device, dtype=torch.bool)
    count = lengths.new_tensor(len(lengths))
    name = "completions/{}_length".format
    shares = {
        name("mean"): (lengths.sum(), count),
        name("mean_terminated"): (lengths[finished].sum(), finished.sum()),
        "completions/clipped_ratio": ((~finished).sum(), count),
    }
    if tools:
        calls = lengths.new_tensor(sum(each.tool_calls for each in trajectories))
        failures = lengths.new_tensor(sum(each.tool_failures for each in trajectories))
        shares |= {"tools/call_frequency": (calls, count), "tools/failure_frequency": (failures, calls)}
    smallest, largest = {}, {}
    for kind, some in (("", lengths), ("_terminated", lengths[finished])):
        smallest[name(f"min{kind}")] = torch.cat([some, some.new_tensor([torch.inf])]).min()
        largest[name(f"max{kind}")] = torch.cat([some, some.new_tensor([-torch.inf])]).max()
    return shares, smallest, largest


def token_count(trajectories: Sequence[Trajectory], group: int) -> dict[str, Share]:
    """Tokens of prompts, once for each group, and of completions."""
    tokens = sum(len(each.prompt) / group + len(each.ids) for each in trajectories)
    return {"num_tokens": (torch.tensor(tokens, dtype=torch.float64), torch.zeros(()))}


def asked(rows: Sequence[dict[str, Any]], trajectories: Sequence[Trajectory]) -> list[dict[str, Any]]:
    """Rows with the prompts that completions answer, of which environments may have made a part."""
    return [
        row if each.prompt_messages is None else {**row, "prompt": each.prompt_messages}
        for row, each in zip(rows, trajectories, strict=True)
    ]


def completions_of(rows: Sequence[Any], trajectories: Sequence[Trajectory], tokenizer: Any) -> list[Completion]:
    """What trajectories say, as rewards read it: text, or messages where the prompt is messages."""
    texts = tokenizer.batch_decode([each.ids for each in trajectories], skip_special_tokens=True)
    return [
        text if isinstance(row["prompt"], str) else each.messages or [{"role": "assistant", "content": text}]
        for row, each, text in zip(rows, trajectories, texts, strict=True)
    ]


def table_of(made: Judged, advantages: Float[Tensor, "N"], names: Sequence[str], step: int) -> dict[str, list[Any]]:
    """The columns that are shown of a generation."""
    return {
        "step": [step] * len(made.rows),
        "prompt": [row["prompt"] for row in made.rows],
        "completion": list(made.completions),
        **dict(zip(names, made.rewards.T.tolist(), strict=True)),
        "advantage": advantages.tolist(),
        **made.columns,
    }
