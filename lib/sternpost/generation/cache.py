"""Keys and values of completions that are being drawn, and of their prompts, which are kept once per group.

    places  0 .. P-1         of a prompt: one row of `prompts` for all completions of its group
            P .. P+n-1       of a completion: a row of its own, its *slot*

Slots in use are the first ones, and so are rows of prompts. Memory grows by doubling up to what may be needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

FIRST_PLACES = 128
"""Tokens of a completion that there is memory for at first."""
STRIDE = 32
"""Places are shown by so many at a time: kernels are made for each shape, and a new one at every token costs more."""


class Rows:
    """Memory for keys and values of some rows, in one layer: `[rows, K, places, D]`."""

    def __init__(self) -> None:
        self.keys = self.values = torch.empty(0, 0, 0, 0)

    def fit(self, rows: int, places: int, keys: Tensor, values: Tensor) -> None:
        """At least so many rows and places, of the shape and dtype of these keys and values."""
        self.keys, self.values = larger(self.keys, rows, places, keys), larger(self.values, rows, places, values)

    def write(self, place: Any, keys: Tensor, values: Tensor) -> None:
        self.keys[place] = keys.to(self.keys.dtype)
        self.values[place] = values.to(self.values.dtype)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first places of one row to another one."""
        if length:
            self.write(
                (target, slice(None), slice(0, length)), self.keys[source, :, :length], self.values[source, :, :length]
            )


def larger(memory: Tensor, rows: int, places: int, like: Tensor) -> Tensor:
    """The memory, or a larger one with its content.

    Zeros, because what a mask hides is still multiplied by nothing, and nothing times an infinity is no number.
    """
    if memory.size(0) >= rows and memory.size(2) >= places:
        return memory
    new = like.new_zeros(rows, like.size(1), places, like.size(3))
    if memory.numel():
        new[: memory.size(0), :, : memory.size(2)] = memory
    return new


@dataclass
class Step:
    """Which completion sees what, when each reads one more token; the same for all layers."""

    active: int
    """Completions, each in its slot."""
    new: Any
    """Index of the places in slots where the keys and values of the tokens belong."""
    width: int
    """Places of slots that any completion sees."""
    prompts: int
    prompt_width: int
    members: Int[Tensor, "prompts m"]
    """Slots of each prompt, filled up with slot 0."""
    member_of: Int[Tensor, "n"] | None
    """Where in `members`, flattened, each slot is; None if `members` counts the slots from first to last."""
    distance: Int[Tensor, "n places"]
    """How far before the token each place is, of the prompt and then of the slot; negative where nothing is."""
    masks: dict[int | None, Tensor]
    """Of each window, what to add to scores; made when a layer asks for it."""

    def mask(self, window: int | None) -> Float[Tensor, "n 1 1 places"]:
        """What to add to scores, so that each completion sees its own tokens; in sliding layers only the last ones."""
        if window not in self.masks:
            seen = self.distance >= 0
            if window is not None:
                seen = seen & (self.distance < window)
            mask = torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, float("-inf"))
            self.masks[window] = mask[:, None, None]
        return self.masks[window]


class SlotLayer(CacheLayerMixin):
    """One layer: takes the prompt that is being read, or the next token of every active slot."""

    def __init__(self, cache: "SlotCache") -> None:
        super().__init__()
        self.cache = cache
        self.prompts, self.slots = Rows(), Rows()

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        cache = self.cache
        if cache.reading is not None:
            self.prompts.fit(cache.prompt_rows, cache.prompt_places, key_states, value_states)
            place = (cache.reading, slice(None), slice(0, key_states.size(2)))
            self.prompts.write(place, key_states[0], value_states[0])
        else:
            self.slots.fit(cache.count, cache.places, key_states, value_states)
            self.slots.write(cache.step.new, key_states[:, :, 0], value_states[:, :, 0])
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """Slots and prompts of all layers, as transformers' attention layers use a cache.

    Args:
        layers: How many layers the model has.
        count: Slots.
        longest_prompt: Tokens of the longest prompt that will be read.
        longest: Tokens of the longest completion that may come.
    """

    step: Step
    """What the layers go by in the forward pass that is running."""

    def __init__(self, layers: int, count: int, longest_prompt: int, longest: int, device: torch.device) -> None:
        self.count, self.longest, self.device = count, longest, device
        self.places = min(longest, FIRST_PLACES)
        self.prompt_rows, self.prompt_places = 1, longest_prompt
        self.lengths: list[int] = []
        """Tokens that each active slot holds."""
        self.homes: list[int] = []
        """Which prompt each active slot continues."""
        self.prompt_lengths: list[int] = []
        self.reading: int | None = None
        """The row of the prompt that is being read."""
        super().__init__(layers=[SlotLayer(self) for _ in range(layers)])

    def begin_prompt(self, length: int) -> int:
        """A row for a prompt of this length, which the next forward pass reads."""
        self.prompt_lengths.append(length)
        self.reading = len(self.prompt_lengths) - 1
        if self.reading >= self.prompt_rows:
            self.prompt_rows = min(2 * self.prompt_rows, self.count + 1)
        return self.reading

    def begin_step(self) -> Step:
        """Get ready for a forward pass with one more token for each active slot."""
        self.reading = None
        width = max(self.lengths) + 1
        if width > self.places:
            self.places = min(2 * self.places, self.longest)
        width = min(-(-width // STRIDE) * STRIDE, self.places)
        lengths = self.tensor(self.lengths)
        alike = len(set(self.lengths)) == 1  # then one slice is written, not scattered places
        rows = slice(0, len(lengths)) if alike else torch.arange(len(lengths), device=self.device)
        new = (rows, slice(None), self.lengths[0] if alike else lengths)
        members, member_of = self.membership()
        prompt_width = max(self.prompt_lengths)
        prompts = self.tensor(self.prompt_lengths)[self.tensor(self.homes)][:, None]
        own = lengths[:, None] - torch.arange(width, device=self.device)
        place = torch.arange(prompt_width, device=self.device)
        before = torch.where(place < prompts, prompts + lengths[:, None] - place, -1)
        self.step = Step(
            len(self.lengths), new, width, len(self.prompt_lengths), prompt_width, members, member_of,
            torch.cat([before, own], 1), {},
        )  # fmt: skip
        self.lengths = [length + 1 for length in self.lengths]
        return self.step

    def membership(self) -> tuple[Tensor, Tensor | None]:
        """`[prompts, m]` slots of each prompt, and where among them each slot is."""
        slots: list[list[int]] = [[] for _ in self.prompt_lengths]
        places = []
        for slot, home in enumerate(self.homes):
            places.append((home, len(slots[home])))
            slots[home].append(slot)
        most = max(map(len, slots))
        filled = [of + [0] * (most - len(of)) for of in slots]
        member_of = [home * most + place for home, place in places]
        regular = [*chain(*filled)] == member_of == [*range(len(member_of))]
        return self.tensor(filled), None if regular else self.tensor(member_of)

    def tensor(self, values: Sequence[Any]) -> Tensor:
        return torch.tensor(values, device=self.device)

    def begin_slot(self, home: int) -> None:
        """One more slot is in use, for a completion of this prompt."""
        self.homes.append(home)
        self.lengths.append(0)

    def keep(self, kept: Sequence[int]) -> list[tuple[int, int]]:
        """Let these active slots move to the front; the others are over. Which moved, and where to."""
        moves = to_the_front(kept)
        for source, target in moves:
            for layer in self.layers:
                layer.slots.move(source, target, self.lengths[source])
            self.lengths[target], self.homes[target] = self.lengths[source], self.homes[source]
        del self.lengths[len(kept) :], self.homes[len(kept) :]
        return moves

    def keep_prompts(self, kept: Sequence[int]) -> dict[int, int]:
        """The same for prompts, whose slots follow them."""
        moves = dict(to_the_front(kept))
        for source, target in moves.items():
            for layer in self.layers:
                layer.prompts.move(source, target, self.prompt_lengths[source])
            self.prompt_lengths[target] = self.prompt_lengths[source]
        del self.prompt_lengths[len(kept) :]
        self.homes = [moves.get(home, home) for home in self.homes]
        return moves


def to_the_front(kept: Sequence[int]) -> list[tuple[int, int]]:
    """Which rows must move, and where to, so that the ones that are kept are the first ones."""
    holes = sorted(set(range(len(kept))) - set(kept))
    return list(zip((row for row in kept if row >= len(kept)), holes, strict=True))
