"""Generation in the trainer's own process: the policy itself, with continuous batching.

A prompt is read once for its whole group; sequences that have ended leave the batch, and the next ones take their
slots; keys and values lie in memory that is allocated once; the log-probability of each token comes with it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..models.attention import NAME, may_keep_rows_apart
from .backend import Completion, Group, Sampling
from .cache import SlotCache
from .sampling import draw


@dataclass
class Running:
    """A completion that is being drawn."""

    group: int
    member: int
    longest: int
    token: int = 0
    """The one that was drawn last."""
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)

    def add(self, token: int, logp: float) -> None:
        self.token = token
        self.ids.append(token)
        self.logps.append(logp)

    def is_over(self, sampling: Sampling) -> bool:
        return self.token in sampling.stop or len(self.ids) >= self.longest


@dataclass
class Prompt:
    """A prompt that was read: what its completions begin from."""

    state: list[tuple[Tensor, Tensor]]
    logits: Tensor
    """`[V]`, of the first token."""


class InProcessEngine:
    """Draws completions from a transformers decoder.

    Args:
        model: A causal language model, not wrapped, whose attention layers see what a mask shows them.
        slots: How many completions are drawn side by side.

    Raises:
        ValueError: the model keeps a state that is no list of keys and values (state spaces, for example).
    """

    def __init__(self, model: PreTrainedModel, slots: int = 64) -> None:
        if not can_run(model):
            raise ValueError(
                f"{type(model).__name__} with {model.config._attn_implementation} attention cannot be run with slots. "
                'Load it with `attn_implementation="sdpa"`, or generate with vLLM.'
            )
        self.model, self.count = model, slots

    def sync(self, model: Any) -> None:
        """The policy's weights are used where they are."""

    @torch.no_grad()
    def sample(self, groups: Sequence[Group], sampling: Sampling) -> list[list[Completion]]:
        """The completions of each group, in order; the same for the same seed.

        Raises:
            ValueError: a prompt is empty.
        """
        for number, group in enumerate(groups):
            if not len(group.prompt):
                raise ValueError(f"prompt {number} has no tokens. Give each at least one, such as the start token.")
        training = self.model.training
        self.model.eval()
        try:
            return Sampler(self.model, groups, sampling, self.count).run()
        finally:
            self.model.train(training)


class Sampler:
    """One call of `sample`: the waiting, the running and the finished completions."""

    def __init__(self, model: PreTrainedModel, groups: Sequence[Group], sampling: Sampling, count: int) -> None:
        self.model, self.groups, self.sampling = model, groups, sampling
        config = model.config.get_text_config()
        self.device = model.get_input_embeddings().weight.device
        longest = max(len(group.prompt) + group.longest(sampling) for group in groups)
        count = min(count, sum(group.count for group in groups))
        self.cache = SlotCache(config.num_hidden_layers, count, longest, self.device)
        self.window = getattr(config, "sliding_window", None)
        self.by_kind = "sliding_attention" in (getattr(config, "layer_types", None) or ())
        self.generator = torch.Generator(self.device).manual_seed(sampling.seed)
        self.waiting = deque(
            Running(number, member, group.longest(sampling))
            for number, group in enumerate(groups)
            for member in range(group.count)
        )
        self.running: list[Running] = []
        self.done: dict[tuple[int, int], Completion] = {}
        self.prompt: tuple[int, Prompt] | None = None
        self.seen = None
        if sampling.repetition_penalty != 1:
            self.seen = torch.zeros(count, config.vocab_size, dtype=torch.long, device=self.device)

    def run(self) -> list[list[Completion]]:
        while self.waiting or self.running:
            self.start()
            if self.running:
                self.step()
        return [
            [self.done[number, member] for member in range(group.count)] for number, group in enumerate(self.groups)
        ]

    def start(self) -> None:
        """Let waiting completions of one group after the other take the free slots, and draw their first tokens."""
        slots = self.cache.slots
        while self.waiting and len(self.running) < slots.count:
            number = self.waiting[0].group
            prompt = self.read(number)
            free = slots.count - len(self.running)
            begun: list[Running] = []
            while self.waiting and self.waiting[0].group == number and len(begun) < free:
                begun.append(self.waiting.popleft())
            first = len(self.running)
            for slot in range(first, first + len(begun)):
                self.cache.fill(slot, prompt.state)
                if self.seen is not None:
                    self.seen[slot] = 0
                    self.seen[slot, torch.tensor(list(self.groups[number].prompt), device=self.device)] = 1
            self.running += begun
            self.take(slice(first, first + len(begun)), prompt.logits.expand(len(begun), -1))
            self.clear()

    def read(self, number: int) -> Prompt:
        """The state after a prompt, which is read once for its group."""
        if self.prompt is None or self.prompt[0] != number:
            slots = self.cache.slots
            ids = torch.tensor([list(self.groups[number].prompt)], device=self.device)
            slots.prefilling = True
            logits = self.model(input_ids=ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits
            slots.prefilling = False
            self.prompt = (number, Prompt(self.cache.prompts(), logits[0, -1]))
        return self.prompt[1]

    def step(self) -> None:
        """One more token for every running completion."""
        slots = self.cache.slots
        active = len(self.running)
        lengths = slots.lengths[:active]
        slots.active, slots.longest = active, int(lengths.max())
        tokens = torch.tensor([[each.token] for each in self.running], device=self.device)
        out = self.model(
            input_ids=tokens,
            position_ids=lengths[:, None].clone(),
            attention_mask=self.masks(lengths, slots.longest + 1),
            past_key_values=self.cache,
            use_cache=True,
        )
        lengths += 1
        self.take(slice(0, active), out.logits[:, -1])
        self.clear()

    def masks(self, lengths: Tensor, width: int) -> Any:
        """What each running completion sees: its tokens and the new one; in sliding layers only the last ones."""
        place = torch.arange(width, device=self.device)[None]
        full = place <= lengths[:, None]
        near = full if self.window is None else full & (place > lengths[:, None] - self.window)
        full, near = self.shown(full), self.shown(near)
        if self.by_kind:
            return {"full_attention": full, "sliding_attention": near}
        return near

    def shown(self, mask: Tensor) -> Tensor:
        """`[n, 1, 1, width]`, as the attention reads it: a bias for eager attention, else true and false."""
        mask = mask[:, None, None]
        if self.model.config._attn_implementation != "eager":
            return mask
        dtype = self.model.get_input_embeddings().weight.dtype
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)

    def take(self, part: slice, logits: Tensor) -> None:
        """Draw the next token of some running completions."""
        seen = None if self.seen is None else self.seen[part]
        tokens, logps = draw(logits, self.sampling, self.generator, seen)
        if seen is not None:
            seen.scatter_(1, tokens[:, None], 1)
        for each, token, logp in zip(self.running[part], tokens.tolist(), logps.tolist(), strict=True):
            each.add(token, logp)

    def clear(self) -> None:
        """Let completions that are over leave their slots."""
        kept = [slot for slot, each in enumerate(self.running) if not each.is_over(self.sampling)]
        if len(kept) == len(self.running):
            return
        for each in self.running:
            if each.is_over(self.sampling):
                finished = each.token in self.sampling.stop
                self.done[each.group, each.member] = Completion(each.ids, each.logps, finished)
        for mover, hole in self.cache.keep(kept):
            self.running[hole] = self.running[mover]
            if self.seen is not None:
                self.seen[hole] = self.seen[mover]
        del self.running[len(kept) :]


def can_run(model: PreTrainedModel) -> bool:
    """Whether a model's state is a list of keys and values that a mask can hide."""
    return may_keep_rows_apart(model) and model.config._attn_implementation in ("sdpa", "eager", NAME)
