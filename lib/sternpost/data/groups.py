"""The order of prompts in online methods, and completions of prompts as batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Sampler

from .batches import IGNORE, RowLengths, pad, positions, real_tokens, round_up


class GroupSampler(Sampler[int]):
    """Numbers of rows: `prompts` different ones, each `group` times in a row, and all of that `repeats` times.

    So that a batch holds whole groups, and the same batch comes again for every micro-batch that is made of it. Rows
    that do not fill a batch are left out of an epoch. `epoch` says which one it is: when a run is resumed, nothing that
    knows it reaches the sampler behind what skips batches.
    """

    def __init__(
        self,
        rows: int,
        prompts: int,
        group: int,
        repeats: int = 1,
        seed: int | None = None,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        if rows < prompts:
            raise ValueError(
                f"the data set has {rows} rows, but a generation batch holds {prompts} different prompts. Add rows, or "
                "lower `per_device_train_batch_size` or `steps_per_generation`."
            )
        self.rows, self.prompts, self.group, self.repeats, self.seed = rows, prompts, group, repeats, seed
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.seed is None:
            order = list(range(self.rows))
        else:
            order = torch.randperm(
                self.rows, generator=torch.Generator().manual_seed(self.seed + self.epoch())
            ).tolist()
        for start in range(0, self.rows - self.prompts + 1, self.prompts):
            for _ in range(self.repeats):
                for row in order[start : start + self.prompts]:
                    yield from [row] * self.group

    def __len__(self) -> int:
        return self.rows // self.prompts * self.prompts * self.group * self.repeats


@dataclass(frozen=True)
class CompletionBatch:
    """Completions with their prompts, as a model reads them, and where their tokens are in that."""

    inputs: dict[str, Any]
    labels: Tensor
    """`[B, S]`: the tokens of completions, `IGNORE` elsewhere."""
    rows: Tensor
    columns: Tensor
    """Of each label, in their order: its completion, and its place in it."""
    shape: tuple[int, int]
    """Completions, and tokens of the longest."""

    def per_completion(self, values: Float[Tensor, "B T"]) -> Float[Tensor, "N C"]:
        """Values of predictions, one row per completion; zero behind its end."""
        found = values[self.labels[:, 1:] != IGNORE]
        return values.new_zeros(self.shape).index_put((self.rows, self.columns), found)

    def to(self, device: torch.device) -> "CompletionBatch":
        moved = {
            name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }
        return CompletionBatch(moved, self.labels.to(device), self.rows.to(device), self.columns.to(device), self.shape)


def completion_batch(
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    pad_token_id: int,
    shared: bool,
    multiple_of: int | None = None,
) -> CompletionBatch:
    """A batch of completions, as wide as a multiple of some tokens.

    `shared`: completions that follow one another and have the same prompt share it, all rows laid end to end; else each
    is written out behind its prompt and padded on the right.
    """
    lengths = [len(completion) for completion in completions]
    rows = torch.arange(len(completions)).repeat_interleave(torch.tensor(lengths))
    columns = torch.cat([torch.arange(length) for length in lengths])
    shape = (len(completions), max(lengths))
    if not shared:
        whole = [[*prompt, *completion] for prompt, completion in zip(prompts, completions, strict=True)]
        masked = [[IGNORE] * len(prompt) + [*completion] for prompt, completion in zip(prompts, completions)]
        input_ids = pad(whole, pad_token_id, multiple_of)
        mask = real_tokens([len(row) for row in whole], input_ids.size(1))
        labels_of = pad(masked, IGNORE, multiple_of)
        return CompletionBatch({"input_ids": input_ids, "attention_mask": mask}, labels_of, rows, columns, shape)
    ids: list[int] = []
    labels: list[int] = []
    sizes: list[int | tuple[int, ...]] = []
    for prompt, members in groupby(zip(map(tuple, prompts), completions, strict=True), key=lambda member: member[0]):
        branches = [list(completion) for _, completion in members]
        ids += [*prompt, *(token for branch in branches for token in branch)]
        labels += [IGNORE] * len(prompt) + [token for branch in branches for token in branch]
        sizes.append((len(prompt), *map(len, branches)))
    filler = round_up(len(ids), multiple_of) - len(ids)
    if filler:
        ids += [pad_token_id] * filler
        labels += [IGNORE] * filler
        sizes.append(filler)
    layout: RowLengths = sizes
    inputs = {"input_ids": torch.tensor([ids]), "position_ids": positions(layout), "seq_lengths": layout}
    return CompletionBatch(inputs, torch.tensor([labels]), rows, columns, shape)
