"""One measurement of training on a model's own completions; `measure.py` calls it."""

import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from measure import CLASSES, load, options, reset_peak, resident_mib, step_clock, used
from rows import OURS

SEED = 11


class Generation:
    """Takes the time of every generation and, if asked, lets both libraries draw by the same random numbers.

    Ours draws by one random number per completion and token. The peer draws by `torch.multinomial`, which is replaced
    by the same: the first token at which the cumulated probabilities pass the number.
    """

    def __init__(self, library: str, trainer: Any, group: int, same: bool) -> None:
        self.group, self.same = group, same
        self.seconds: list[float] = []
        self.calls = 0
        if library == OURS:
            trainer.backend.sample = self.timed(self.seeded(trainer.backend.sample))
        else:
            trainer._generate_single_turn = self.timed(trainer._generate_single_turn)
            if same:
                self.replace_multinomial()

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            self.random: list[Random] = []
            started = time.perf_counter()
            result = function(*args, **kwargs)
            self.seconds.append(time.perf_counter() - started)
            return result

        return run

    def seeded(self, sample: Callable[..., Any]) -> Callable[..., Any]:
        def run(groups: Any, sampling: Any) -> Any:
            return sample(groups, replace(sampling, seed=SEED + self.calls) if self.same else sampling)

        return run

    def replace_multinomial(self) -> None:
        import torch

        def multinomial(probs: Any, num_samples: int, **kwargs: Any) -> Any:
            if not self.random:
                names = ((SEED + self.calls, *divmod(row, self.group)) for row in range(len(probs)))
                self.random = [Random("{} {} {}".format(*name)) for name in names]
            heights = torch.tensor([[each.random()] for each in self.random], dtype=torch.float64)
            ladder = probs.double().cumsum(-1)
            return torch.searchsorted(ladder, heights * ladder[:, -1:], right=True)

        torch.multinomial = multinomial


def let_end(model: Any, rate: float) -> None:
    """Let this share of all tokens end a completion: with random weights each token is one of them about that often."""
    import torch

    vocabulary = model.config.vocab_size
    ends = torch.randperm(vocabulary, generator=torch.Generator().manual_seed(0))[: round(rate * vocabulary)]
    model.generation_config.eos_token_id = ends.tolist()


def online(spec: dict[str, Any], folder: str) -> dict[str, Any]:
    """Seconds per step and per generation, drawn tokens, gradients, entropies, and memory while training."""
    from datasets import load_from_disk

    library = importlib.import_module(spec["library"])
    model, tokenizer = load(spec)
    rows = load_from_disk(spec["rows"])
    if spec["ends"]:
        let_end(model, spec["ends"])
    config_class, trainer_class, _ = (getattr(library, name, None) for name in CLASSES[spec["method"]])
    args = config_class(**options(spec, folder))
    drawn: list[list[int]] = []

    def reward(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        """A number that differs between completions and does not depend on the library."""
        drawn.extend(list(map(int, ids)) for ids in completion_ids)
        return [sum(ids) % 1000 / 1000 for ids in completion_ids]

    clock = step_clock()
    trainer = trainer_class(
        model=model,
        reward_funcs=reward,
        args=args,
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[clock],
    )
    generation = Generation(spec["library"], trainer, args.num_generations, spec["same_draws"])
    before = resident_mib()
    reset_peak()
    trainer.train()
    memory = used(before)
    logs = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    warm = slice(1, len(clock.seconds))
    per_step = len(drawn) // len(clock.seconds)
    tokens = [sum(map(len, drawn[at : at + per_step])) for at in range(0, len(drawn), per_step)]
    seconds = statistics.median(clock.seconds[warm])
    return {
        "seconds": seconds,
        "cpu_seconds": statistics.median(clock.cpu[warm]),
        "tokens_per_second": sum(tokens[warm]) / sum(clock.seconds[warm]),
        "generated_per_second": sum(tokens[warm]) / sum(generation.seconds[warm]),
        "generating": statistics.median(generation.seconds[warm]) / seconds,
        **memory,
        "grad_norms": [entry["grad_norm"] for entry in logs],
        "entropies": [entry["entropy"] for entry in logs if "entropy" in entry],
        "tokens": tokens,
        "completions": drawn if spec["same_draws"] else [],
        "bf16": bool(args.bf16),
    }
