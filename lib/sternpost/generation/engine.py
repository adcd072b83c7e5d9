"""Generation in the trainer's own process: the policy itself, with continuous batching.

A prompt is read and kept once for its whole group; sequences that have ended leave the batch, and the next ones take
their slots; the log-probability of each token comes with it. What a completion draws depends on the seed and on its
number only, not on the completions beside it.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..models.attention import may_keep_rows_apart
from ..models.gather import whole_weights
from ..models.tiled import is_sharded
from .attention import attending_to_slots
from .backend import Completion, Group, Sampling
from .cache import SlotCache
from .sampling import draw


@dataclass
class Running:
    """A completion that is being drawn."""

    group: int
    member: int
    longest: int
    random: Random
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)

    def is_over(self, sampling: Sampling) -> bool:
        return self.ids[-1] in sampling.stop or len(self.ids) >= self.longest


class InProcessEngine:
    """Draws completions from a transformers decoder.

    Args:
        model: A causal language model, not wrapped, whose attention layers transformers can exchange.
        slots: How many completions are drawn side by side.
        autocast: The dtype that the policy is trained in, if its weights have another. Weights are cast once per call
            of `sample`, not once per token.
        gather: Whether weights that are sharded over processes are gathered for the time of a call of `sample`. If not,
            each token gathers them layer by layer, and all processes go on until the last one has finished.

    Raises:
        ValueError: the model keeps a state that is no list of keys and values (state spaces, for example).
    """

    def __init__(
        self, model: PreTrainedModel, slots: int = 64, autocast: torch.dtype | None = None, gather: bool = True
    ) -> None:
        if not may_keep_rows_apart(model):
            raise ValueError(
                f"{type(model).__name__} cannot be run with slots: its layers keep a state other than keys and values, "
                "or transformers cannot exchange their attention. Generate with vLLM."
            )
        self.model, self.slots, self.autocast, self.gather = model, slots, autocast, gather
        self.wrapped: nn.Module = model
        self.positions = learned_positions(model)

    def sync(self, model: Any) -> None:
        """The policy's weights are used where they are; `model` may be wrapped, and sharded over processes."""
        self.wrapped = model

    @torch.no_grad()
    def sample(self, groups: Sequence[Group], sampling: Sampling) -> list[list[Completion]]:
        """The completions of each group, in order; the same for the same seed.

        Raises:
            ValueError: a prompt is empty, or longer with its completion than the model has positions; or there are
                options that this engine does not know.
            FloatingPointError: the policy's logits are not numbers.
        """
        for number, group in enumerate(groups):
            if not len(group.prompt):
                raise ValueError(f"prompt {number} has no tokens. Give each at least one, such as the start token.")
            if self.positions is not None and len(group.prompt) + group.longest(sampling) > self.positions:
                raise ValueError(
                    f"prompt {number} has {len(group.prompt)} tokens and its completion may have "
                    f"{group.longest(sampling)}, but {type(self.model).__name__} has learned {self.positions} "
                    "positions. Lower `max_completion_length`, or drop long prompts."
                )
        if sampling.extra:
            names = ", ".join(f"`{name}`" for name in sampling.extra)
            raise ValueError(f"the engine in this process does not know {names}. Leave it out, or generate with vLLM.")
        with ExitStack() as stack:
            stack.enter_context(evaluating(self.model))
            if self.gather:
                stack.enter_context(whole_weights(self.wrapped))
            if self.autocast is not None:
                stack.enter_context(cast_once(self.model, self.autocast))
            sharded = not self.gather and any(map(is_sharded, self.model.parameters()))
            return Sampler(self.model, groups, sampling, self.slots, sharded).run()


class Sampler:
    """One call of `sample`: the waiting, the running and the finished completions.

    `sharded`: forward passes gather weights, so that every process has to make the same number of them.
    """

    def __init__(
        self, model: PreTrainedModel, groups: Sequence[Group], sampling: Sampling, slots: int, sharded: bool
    ) -> None:
        self.model, self.groups, self.sampling, self.sharded = model, groups, sampling, sharded
        config = model.config.get_text_config()
        self.device = model.get_input_embeddings().weight.device
        count = max(1, min(slots, sum(group.count for group in groups)))
        prompt = max((len(group.prompt) for group in groups), default=1)
        longest = max((group.longest(sampling) for group in groups), default=1)
        self.cache = SlotCache(config.num_hidden_layers, count, prompt, longest, self.device)
        self.waiting = deque(
            Running(number, member, group.longest(sampling), Random(f"{sampling.seed} {number} {member}"))
            for number, group in enumerate(groups)
            for member in range(group.count)
        )
        self.running: list[Running] = []
        self.done: dict[tuple[int, int], Completion] = {}
        self.begun: tuple[int, int, Tensor] | None = None
        """The group that was begun last: its number, the row of its prompt, and the logits of the first token."""
        self.seen: Tensor | None = None
        if sampling.repetition_penalty != 1:
            self.seen = torch.zeros(count, config.vocab_size, dtype=torch.bool, device=self.device)

    def run(self) -> list[list[Completion]]:
        while self.waiting or self.running:
            self.start()
            if self.running:
                self.step()
        while self.sharded and self.anyone_runs(False):
            self.model(input_ids=self.cache.tensor([[0]]), use_cache=False)
        return [
            [self.done[number, member] for member in range(group.count)] for number, group in enumerate(self.groups)
        ]

    def anyone_runs(self, here: bool) -> bool:
        """Whether any process makes a forward pass now; all ask at the same time."""
        running = torch.tensor(int(here), device=self.device)
        dist.all_reduce(running)
        return bool(running)

    def forward(self, ids: list[list[int]], **kwargs: Any) -> Tensor:
        """`[n, V]` logits of the token after the last one."""
        if self.sharded:
            self.anyone_runs(True)
        out = self.model(
            input_ids=self.cache.tensor(ids), past_key_values=self.cache, use_cache=True, logits_to_keep=1, **kwargs
        )
        return out.logits[:, -1]

    def start(self) -> None:
        """Let waiting completions of one group after the other take the free slots, and draw their first tokens."""
        while self.waiting and len(self.running) < self.cache.count:
            number = self.waiting[0].group
            row, logits = self.read(number)
            first = len(self.running)
            while self.waiting and self.waiting[0].group == number and len(self.running) < self.cache.count:
                if self.seen is not None:
                    self.seen[len(self.running)] = False
                    self.seen[len(self.running), self.cache.tensor(list(self.groups[number].prompt))] = True
                self.running.append(self.waiting.popleft())
                self.cache.begin_slot(row)
            self.take(slice(first, None), logits.expand(len(self.running) - first, -1))
            self.clear()

    def read(self, number: int) -> tuple[int, Tensor]:
        """The row of a prompt, which is read once for its group, and the logits of the first token."""
        if self.begun is None or self.begun[0] != number:
            prompt = list(self.groups[number].prompt)
            row = self.cache.begin_prompt(len(prompt))
            self.begun = (number, row, self.forward([prompt])[0])
        return self.begun[1:]

    def step(self) -> None:
        """One more token for every running completion."""
        cache = self.cache
        positions = [cache.prompt_lengths[home] + length for home, length in zip(cache.homes, cache.lengths)]
        cache.begin_step()
        position_ids = cache.tensor(positions)[:, None]
        with attending_to_slots(self.model):
            logits = self.forward([[each.ids[-1]] for each in self.running], position_ids=position_ids, slots=cache)
        self.take(slice(0, None), logits)
        self.clear()

    def take(self, part: slice, logits: Tensor) -> None:
        """Draw the next token of some running completions."""
        running = self.running[part]
        heights = torch.tensor([each.random.random() for each in running], dtype=torch.float64).to(self.device)
        seen = None if self.seen is None else self.seen[part][: len(running)]
        tokens, logps = draw(logits, self.sampling, heights, seen)
        if seen is not None:
            seen.scatter_(1, tokens[:, None], True)
        drawn = torch.stack([tokens.double(), logps.double()], 1).tolist()  # one transfer from the device
        for each, (token, logp) in zip(running, drawn, strict=True):
            if math.isnan(logp):
                raise FloatingPointError(
                    "The policy's logits are not numbers, so nothing can be drawn. The last updates broke its weights: "
                    "lower `learning_rate` or `max_grad_norm`, or go on from an earlier checkpoint."
                )
            each.ids.append(int(token))
            each.logps.append(logp)

    def clear(self) -> None:
        """Let completions that are over leave their slots, and prompts that nobody continues their rows."""
        kept = [slot for slot, each in enumerate(self.running) if not each.is_over(self.sampling)]
        if len(kept) == len(self.running):
            return
        for each in self.running:
            if each.is_over(self.sampling):
                finished = each.ids[-1] in self.sampling.stop
                self.done[each.group, each.member] = Completion(each.ids, each.logps, finished)
        for source, target in self.cache.keep(kept):
            self.running[target] = self.running[source]
            if self.seen is not None:
                self.seen[target] = self.seen[source]
        del self.running[len(kept) :]
        self.clear_prompts()

    def clear_prompts(self) -> None:
        """Forget prompts that no completion continues or waits for."""
        needed = set(self.cache.homes)
        if self.begun is not None and self.waiting and self.waiting[0].group == self.begun[0]:
            needed.add(self.begun[1])
        elif self.begun is not None and self.begun[1] not in needed:
            self.begun = None
        if len(needed) == len(self.cache.prompt_lengths):
            return
        moves = self.cache.keep_prompts(sorted(needed))
        if self.begun is not None:
            number, row, logits = self.begun
            self.begun = (number, moves.get(row, row), logits)


def learned_positions(model: PreTrainedModel) -> int | None:
    """For how many positions a model has embeddings, or None if it computes them, as with rotations."""
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for path, module in model.get_decoder().named_modules():
        name = path.rpartition(".")[2]
        if most is not None and isinstance(module, nn.Embedding) and ("position" in name or name == "wpe"):
            if module.num_embeddings - most in (0, 2):  # OPT and BART leave the first two out
                return int(most)
    return None


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; the mode that it had behind it."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def cast_once(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Autocast that keeps the cast weights until the end, where each forward pass of its own would cast them again.

    torch keeps those of weights that require gradients, so all do for as long as nothing computes any.
    """
    frozen = [weight for weight in model.parameters() if weight.dtype == torch.float32 and not weight.requires_grad]
    for weight in frozen:
        weight.requires_grad_(True)
    try:
        with torch.autocast(next(model.parameters()).device.type, dtype):
            yield
    finally:
        for weight in frozen:
            weight.requires_grad_(False)
