"""Keys and values of sequences that are being generated, in slots that are allocated once."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class Slots:
    """Which slots are in use: the first `active` ones, each with its length. Shared by all layers."""

    def __init__(self, count: int, capacity: int, device: torch.device) -> None:
        self.count, self.capacity = count, capacity
        self.active = 0
        self.lengths = torch.zeros(count, dtype=torch.long, device=device)
        self.longest = 0
        self.prefilling = False


class SlotLayer(CacheLayerMixin):
    """One layer: a prompt that was just read, or the next token of every active slot."""

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self.slots = slots
        self.prompt: tuple[Tensor, Tensor] | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Memory for all slots, of the shape and dtype that the layer turns out to have.

        Zeros, because what a mask hides is still multiplied by nothing, and nothing times an infinity is no number.
        """
        shape = (self.slots.count, key_states.size(1), self.slots.capacity)
        self.keys = key_states.new_zeros(*shape, key_states.size(-1))
        self.values = value_states.new_zeros(*shape, value_states.size(-1))
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.slots.prefilling:
            self.prompt = (key_states, value_states)
            return self.prompt
        active = self.slots.active
        rows = torch.arange(active, device=key_states.device)
        places = self.slots.lengths[:active]
        self.keys[rows, :, places] = key_states[:, :, 0]
        self.values[rows, :, places] = value_states[:, :, 0]
        seen = self.slots.longest + 1
        return self.keys[:active, :, :seen], self.values[:active, :, :seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length + (0 if self.slots.prefilling else self.slots.longest), 0

    def get_seq_length(self) -> int:
        return 0 if self.slots.prefilling else self.slots.longest

    def get_max_length(self) -> int:
        return self.slots.capacity


class SlotCache(Cache):
    """The slots of all layers, as transformers' attention layers use a cache."""

    def __init__(self, layers: int, count: int, capacity: int, device: torch.device) -> None:
        self.slots = Slots(count, capacity, device)
        super().__init__(layers=[SlotLayer(self.slots) for _ in range(layers)])

    def prompts(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the prompt that was just read, per layer."""
        return [layer.prompt for layer in self.layers]

    def fill(self, slot: int, prompt: list[tuple[Tensor, Tensor]]) -> None:
        """Begin a sequence in a slot behind the active ones."""
        length = prompt[0][0].size(2)
        for layer, (keys, values) in zip(self.layers, prompt, strict=True):
            layer.keys[slot, :, :length] = keys[0]
            layer.values[slot, :, :length] = values[0]
        self.slots.lengths[slot] = length

    def keep(self, kept: list[int]) -> list[tuple[int, int]]:
        """Let the sequences of these active slots move to the front; the others are over. Which moved, and where to."""
        holes = sorted(set(range(len(kept))) - set(kept))
        moves = list(zip((slot for slot in kept if slot >= len(kept)), holes, strict=True))
        for mover, hole in moves:
            length = int(self.slots.lengths[mover])
            for layer in self.layers:
                layer.keys[hole, :, :length] = layer.keys[mover, :, :length]
                layer.values[hole, :, :length] = layer.values[mover, :, :length]
            self.slots.lengths[hole] = length
        return moves
