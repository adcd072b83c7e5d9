"""What online methods are given, the same in both libraries: prompts, completions with what drew them, and rewards."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import torch
from transformers import AutoModelForSequenceClassification
from trl.trainer import grpo_trainer, rloo_trainer

from sternpost.generation.backend import Completion, Group, Sampling

from . import models
from .case import Case
from .compare import check_equal
from .rows import Rows, sentence
from .train import Run, make_trainer, train

PEERS = {"GRPO": grpo_trainer, "RLOO": rloo_trainer}
LONGEST = 20
"""Tokens of a completion; some would be longer, and are cut."""
OPTIONS: dict[str, Any] = {
    "max_completion_length": LONGEST,
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 8,
    "shuffle_dataset": False,
}
LENGTHS = tuple(
    f"completions/{kind}_{name}" for name in ("length", "terminated_length") for kind in ("mean", "min", "max")
)
CLIPPED = tuple(f"clip_ratio/{name}" for name in ("low_mean", "low_min", "high_mean", "high_max", "region_mean"))
SUMMARY = ("reward", "reward_std", "frac_reward_zero_std", "completions/clipped_ratio", "entropy", "kl", "aux_loss")


# ---- Rewards: of text or messages, of tokens with a column, asynchronous, not of all completions


def text_of(completion: Any) -> str:
    return completion if isinstance(completion, str) else "".join(message["content"] for message in completion)


def variety(completions: Sequence[Any], **_: Any) -> list[float]:
    return [len(set(text_of(completion))) / 10 for completion in completions]


def near_aim(completion_ids: Sequence[Any], aim: Sequence[int], **_: Any) -> list[float]:
    return [-abs(len(ids) - wanted) / 4 for ids, wanted in zip(completion_ids, aim, strict=True)]


async def echoes(prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float]:
    pairs = zip(map(text_of, prompts), map(text_of, completions), strict=True)
    return [len(set(prompt.split()) & set(completion.split())) / 3 for prompt, completion in pairs]


def sometimes(completion_ids: Sequence[Any], **_: Any) -> list[float | None]:
    return [None if sum(ids) % 3 == 0 else sum(ids) % 7 / 5 for ids in completion_ids]


def rarely(completions: Sequence[Any], completion_ids: Sequence[Any], **_: Any) -> list[float | None]:
    scores = variety(completions)
    return [None if sum(ids) % 2 else score for ids, score in zip(completion_ids, scores, strict=True)]


def seldom(completions: Sequence[Any], **_: Any) -> list[float]:
    """Mostly zero, so that some groups have no signal."""
    return [float("keel" in text_of(completion)) for completion in completions]


def equal(completions: Sequence[Any], **_: Any) -> list[float]:
    """The same for all, so that none has an advantage."""
    return [1.0] * len(completions)


def of_prompt(prompts: Sequence[Any], **_: Any) -> list[float]:
    """The same for all completions of a prompt."""
    return [len(text_of(prompt)) / 7 for prompt in prompts]


def never(completions: Sequence[Any], **_: Any) -> list[None]:
    return [None] * len(completions)


def noted(completions: Sequence[Any], log_metric: Any, **_: Any) -> list[float]:
    scores = variety(completions)
    log_metric("noted", sum(scores))
    return scores


def judge() -> Any:
    """A reward model, larger than it is at first, so that its rewards differ."""
    model = models.build("untied", AutoModelForSequenceClassification, num_labels=1)
    model.config._name_or_path = "tiny/judge"
    return model


REWARDS: dict[str, Any] = {
    reward.__name__: reward
    for reward in (variety, near_aim, echoes, sometimes, rarely, seldom, equal, of_prompt, never, noted)
}
METRICS = (
    *SUMMARY,
    *LENGTHS,
    *CLIPPED,
    "noted",
    *(f"rewards/{name}/{kind}" for name in (*REWARDS, "judge") for kind in ("mean", "std")),
)


# ---- Cases


@dataclass(frozen=True)
class OnlineCase(Case):
    """A case of an online method."""

    rewards: tuple[str, ...] = ("variety",)
    """Names of `REWARDS`, or `judge`, which is a model."""
    reference: str = "other"
    """`other`: a model with other weights; `start`: the policy as it is at the start. Only read where there is one."""
    noise: float | None = None
    """The sampler says what the policy said at the start, but for errors of this size; None: it says nothing."""
    unknown: float = 0.0
    """Share of the tokens of which it says nothing."""
    tools: bool = False
    """Tokens in the middle of completions come from elsewhere."""
    ended: float = 0.8
    """Share of the completions that come to their end."""


@dataclass(frozen=True)
class Drawn:
    """A completion."""

    ids: list[int]
    drawn: list[int]
    """One for tokens of the policy."""
    logps: list[float] | None
    finished: bool


@dataclass(frozen=True)
class OnlineRun(Run):
    """What a library did."""

    advantages: torch.Tensor
    """Of all generations of the training, in their order."""
    asked: list[list[int]]
    """Prompts of all completions, evaluation included."""
    made: list[Drawn]


def words(draw: Random, length: int) -> str:
    """Text of this many tokens."""
    while len(models.tokenizer()(found := sentence(draw, length))["input_ids"]) != length:
        pass
    return found


def prompts(name: str) -> Rows:
    """Twelve prompts, as text, perhaps of the same length, or as messages; with a column for rewards."""
    draw = Random(5)
    rows: Rows = []
    for _ in range(12):
        asked = words(draw, 6) if name == "equal_prompts" else sentence(draw, draw.randint(2, 9))
        prompt: Any = [{"role": "user", "content": asked}] if name == "prompt_chat" else asked
        if name == "prompt_chat" and draw.random() < 0.5:
            prompt.insert(0, {"role": "system", "content": sentence(draw, 2)})
        rows.append({"prompt": prompt, "aim": draw.randint(4, 12)})
    return rows


# ---- Completions


class Script:
    """Says what is drawn: the same for the same prompt, at the same time in a run. A backend of ours."""

    def __init__(self, case: OnlineCase, temperature: float) -> None:
        self.case, self.temperature = case, temperature
        self.seen: Counter[tuple[int, ...]] = Counter()
        self.tokenizer = models.tokenizer()
        self.model = None if case.noise is None else models.build(case.model).eval()
        self.asked: list[list[int]] = []
        self.made: list[Drawn] = []

    def next(self, prompt: Sequence[int]) -> Drawn:
        """The next completion of a prompt."""
        key = tuple(prompt)
        draw = Random(repr((key, self.seen[key])))
        self.seen[key] += 1
        ids, drawn = self.words(draw), []
        if self.case.tools:
            before, middle = len(ids), self.words(draw)[:4]
            after = self.words(draw)[:6]
            ids, drawn = ids[:9] + middle + after, [1] * min(before, 9) + [0] * len(middle) + [1] * len(after)
        if draw.random() < self.case.ended:
            ids, drawn = [*ids, self.tokenizer.eos_token_id], [*drawn, 1]
        ids, drawn = ids[:LONGEST], drawn[:LONGEST] if self.case.tools else [1] * len(ids[:LONGEST])
        found = Drawn(ids, drawn, self.logps(prompt, ids, draw), ids[-1] == self.tokenizer.eos_token_id)
        self.asked.append(list(prompt))
        self.made.append(found)
        return found

    def words(self, draw: Random) -> list[int]:
        return list(self.tokenizer(" " + sentence(draw, draw.randint(2, 9)))["input_ids"])

    def logps(self, prompt: Sequence[int], ids: list[int], draw: Random) -> list[float] | None:
        """What the sampler says of each token."""
        if self.model is None:
            return None
        with torch.no_grad():
            logits = self.model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
        logps = (logits / self.temperature).log_softmax(-1)[range(len(ids)), ids].tolist()
        noisy = [logp + draw.gauss(0, 1) * self.case.noise for logp in logps]
        return [float("nan") if draw.random() < self.case.unknown else logp for logp in noisy]

    # What our trainers call a backend

    def sync(self, model: Any) -> None:
        """Nothing: what is drawn does not depend on the policy."""

    def sample(self, groups: Sequence[Group], sampling: Sampling) -> list[list[Completion]]:
        found = [[self.next(group.prompt) for _ in range(group.count)] for group in groups]
        return [[Completion(each.ids, each.logps, each.finished) for each in group] for group in found]

    # What both libraries call a roll-out function

    def roll_out(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        asked = [self.tokenize(prompt) for prompt in prompts]
        found = [self.next(prompt) for prompt in asked]
        return {
            "prompt_ids": asked,
            "completion_ids": [each.ids for each in found],
            "logprobs": None if self.model is None else [each.logps for each in found],
            "env_mask": [each.drawn for each in found],
        }

    def tokenize(self, prompt: Any) -> list[int]:
        if isinstance(prompt, str):
            return list(self.tokenizer(prompt)["input_ids"])
        return list(self.tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False))


def scripted(room: str, script: Script) -> Any:
    """The peer's config, and its trainer, which takes completions from a script and keeps the advantages."""

    class Scripted(getattr(PEERS[room], f"{room}Trainer")):  # type: ignore[misc]
        def _generate_single_turn(self, prompt_ids: Any, *_: Any, **__: Any) -> Any:
            found = [script.next(ids) for ids in prompt_ids]
            ids = [each.ids for each in found]
            if room == "RLOO":
                return ids
            return ids, None if script.model is None else [each.logps for each in found]

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            found = super()._generate_and_score_completions(inputs)
            if self.model.training:
                self.kept_advantages = [*getattr(self, "kept_advantages", []), found["advantages"]]
            return found

    return SimpleNamespace(**{f"{room}Trainer": Scripted, f"{room}Config": getattr(PEERS[room], f"{room}Config")})


# ---- Runs


def trainer(library: str, room: str, case: OnlineCase, rows: Rows | None = None, **options: Any) -> tuple[Any, Script]:
    """The library's trainer, and what it is given to learn from."""
    options = OPTIONS | case.arguments(library) | options
    script = Script(case, options.get("temperature", 1.0))
    reference = models.build_other(case.model) if case.reference == "other" else models.build(case.model)
    rewards = [judge() if name == "judge" else REWARDS[name] for name in case.rewards]
    more: dict[str, Any] = {"reward_funcs": rewards}
    if "judge" in case.rewards:
        more["reward_processing_classes"] = [models.tokenizer() if name == "judge" else None for name in case.rewards]
    if case.tools:
        more["rollout_func"] = script.roll_out
    if library == "sternpost" and not case.tools:
        more["backend"] = script
    model = models.build(case.model)
    with ExitStack() as stack:
        if library == "trl":
            # A reference is loaded from the checkpoint that the policy is from, and there is none.
            stack.enter_context(patch.object(PEERS[room], "create_model_from_path", lambda *_, **__: reference))
            stack.enter_context(patch.object(PEERS[room], "VLLMGeneration", Mock()))
        rows = prompts(case.rows) if rows is None else rows
        source = scripted(room, script) if library == "trl" else import_module(f"sternpost.{room.lower()}.trainer")
        found = make_trainer(library, room, case, model, rows, options, source, **more)
    if library == "sternpost":
        keep_advantages(found)
        if found.ref_model is not None:
            found.ref_model.load_state_dict(reference.state_dict())
    return found, script


def keep_advantages(trainer: Any) -> None:
    """Keep the advantages of each generation."""
    roll_out, trainer.kept_advantages = trainer.roll_out, []

    def keeping(*args: Any) -> Any:
        found = roll_out(*args)
        if trainer.model.training:
            trainer.kept_advantages.append(torch.cat([part.rollout.advantages for part in found]))
        return found

    trainer.roll_out = keeping


def run(
    library: str, room: str, case: OnlineCase, rows: Rows | None = None, *, mixed: bool = False,
    further: tuple[str, ...] = (), **options: Any,
) -> OnlineRun:  # fmt: skip
    """What the library does, with some `further` metrics.

    `mixed`: the peer mixes the completions of a generation before they are split into micro-batches; else they keep
    their order, as in our library.
    """
    made, script = trainer(library, room, case, rows, **options)
    with ExitStack() as stack:
        if not mixed:
            stack.enter_context(patch.object(PEERS[room], "shuffle_sequence_dict", lambda batch: batch))
        done = train(made, (*METRICS, *further), len)
    learned = sum(sum(each.drawn) for each in script.made)
    more = {"advantages": torch.cat(made.kept_advantages), "asked": script.asked, "made": script.made}
    return OnlineRun(**vars(done) | {"learned": learned} | more)


def check_online(
    ours: OnlineRun, peer: OnlineRun, unlike: tuple[str, ...], differences: dict[str, list[float]]
) -> None:
    """Assert that all is equal, advantages too. On policy, losses are sums of advantages, of which each is about 1."""
    torch.testing.assert_close(ours.advantages, peer.advantages, rtol=1e-4, atol=1e-5)
    check_equal(without(ours, unlike), without(peer, unlike), (), differences, least=1.0)


def without(run: OnlineRun, names: tuple[str, ...]) -> OnlineRun:
    """A run without some metrics, which one of the libraries may not log at all."""
    kept = [
        {name: value for name, value in step.items() if name.removeprefix("eval_") not in names} for step in run.metrics
    ]
    return replace(run, metrics=kept)
