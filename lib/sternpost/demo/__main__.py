"""Shows that training works: the embedded base model answers held-out questions before and after each stage.

A stage is a function: it takes a model directory, trains, and saves a model directory. To add one, write it and name it
in `STAGES`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer, ProgressCallback, Trainer

from ..callbacks import RichProgressCallback
from ..report import Comparison, Curves, Samples, Section, read_log_history, write_page
from . import load, path
from .evaluate import Evaluation, evaluate, is_right, preference_accuracy, reward_accuracy


@dataclass(frozen=True)
class Outcome:
    """What a stage has achieved on held-out rows, and the seconds its training took."""

    seconds: float
    before: Evaluation | None = None
    after: Evaluation | None = None
    pairs: tuple[float, float] | None = None
    """Share of the preference pairs that are ranked as they should be, before and after."""

    @property
    def numbers(self) -> dict[str, float]:
        """What the last line of the demo says of the stage: accuracies as fractions."""
        found: dict[str, float] = {}
        if self.before is not None and self.after is not None:
            found |= {"before": round(self.before.accuracy, 4), "after": round(self.after.accuracy, 4)}
        if self.pairs is not None:
            found |= {"pairs_before": round(self.pairs[0], 4), "pairs_after": round(self.pairs[1], 4)}
        return found | {"seconds": round(self.seconds, 1)}


def evaluate_directory(folder: str | Path) -> Evaluation:
    """Held-out answers of a saved model."""
    return evaluate(AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))


def options(output: Path, seed: int) -> dict[str, Any]:
    """Options that all stages have in common."""
    return {
        "output_dir": str(output),
        "per_device_train_batch_size": 16,
        "warmup_steps": 10,
        "bf16": False,  # so small a model is no faster in it
        "seed": seed,
        "data_seed": seed,
        "save_strategy": "no",
        "report_to": "none",
    }


def run(trainer: Trainer) -> float:
    """Train and save; the seconds it took."""
    trainer.remove_callback(ProgressCallback)
    clock = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - clock
    trainer.save_model()
    trainer.save_state()
    return seconds


def sft(start: str, output: Path, seed: int) -> Outcome:
    """Supervised fine-tuning of the base model on the demo's conversations: it learns to answer questions."""
    from ..sft import SFTConfig, SFTTrainer

    before = evaluate_directory(start)
    trainer = SFTTrainer(
        start,
        args=SFTConfig(**options(output, seed), num_train_epochs=3, learning_rate=1e-3, assistant_only_loss=True),
        train_dataset=load("messages"),
        callbacks=[RichProgressCallback()],
    )
    seconds = run(trainer)
    return Outcome(seconds, before, evaluate(trainer.model, trainer.processing_class))


def reward(start: str, output: Path, seed: int) -> Outcome:
    """A reward model on the demo's preferences: it learns which answer is better."""
    from ..reward import RewardConfig, RewardTrainer

    trainer = RewardTrainer(
        start,
        args=RewardConfig(**options(output, seed), max_steps=100, learning_rate=5e-4),
        train_dataset=load("preference_messages"),
        callbacks=[RichProgressCallback()],
    )
    before = reward_accuracy(trainer.model, trainer.processing_class)
    seconds = run(trainer)
    return Outcome(seconds, pairs=(before, reward_accuracy(trainer.model, trainer.processing_class)))


def dpo(start: str, output: Path, seed: int) -> Outcome:
    """Direct preference optimisation on the demo's preferences: it learns to show its steps."""
    from ..dpo import DPOConfig, DPOTrainer

    before = evaluate_directory(start)
    trainer = DPOTrainer(
        start,
        args=DPOConfig(**options(output, seed), max_steps=100, learning_rate=1e-4),
        train_dataset=load("preference_messages"),
        callbacks=[RichProgressCallback()],
    )
    model, tokenizer = trainer.model, trainer.processing_class
    pairs = preference_accuracy(model, tokenizer)
    seconds = run(trainer)
    return Outcome(seconds, before, evaluate(model, tokenizer), (pairs, preference_accuracy(model, tokenizer)))


def exact_match(completions: list[list[dict[str, str]]], answer: list[str], **columns: Any) -> list[float]:
    """1 for completions whose last line is the answer, else 0."""
    return [float(is_right(said[0]["content"], right)) for said, right in zip(completions, answer, strict=True)]


def online(output: Path, seed: int) -> dict[str, Any]:
    """Options of the stages that learn from their own answers: 24 questions at a time, 8 answers to each."""
    return options(output, seed) | {
        "per_device_train_batch_size": 192,
        "num_generations": 8,
        "max_completion_length": 48,
        "generation_slots": 192,
        "max_steps": 40,
        "learning_rate": 2e-4,
        "warmup_steps": 0,
        "logging_steps": 5,
    }


def rloo(start: str, output: Path, seed: int) -> Outcome:
    """REINFORCE leave-one-out on questions whose answers can be checked: it learns what works."""
    from ..rloo import RLOOConfig, RLOOTrainer

    return learn(start, RLOOTrainer, RLOOConfig(**online(output, seed)))


def grpo(start: str, output: Path, seed: int) -> Outcome:
    """Group-relative policy optimisation on the same questions."""
    from ..grpo import GRPOConfig, GRPOTrainer

    return learn(start, GRPOTrainer, GRPOConfig(**online(output, seed)))


def learn(start: str, kind: Any, args: Any) -> Outcome:
    """Train on questions with exact match as the reward."""
    before = evaluate_directory(start)
    rows = load("prompts_messages")
    trainer = kind(start, exact_match, args, rows, callbacks=[RichProgressCallback()])
    seconds = run(trainer)
    return Outcome(seconds, before, evaluate(trainer.model, trainer.processing_class))


STAGES: dict[str, Callable[[str, Path, int], Outcome]] = {
    "sft": sft,
    "reward": reward,
    "dpo": dpo,
    "rloo": rloo,
    "grpo": grpo,
}
"""In the order in which they run. The first one starts from the base model, the others from the model it has saved."""


def show(name: str, outcome: Outcome, samples: int = 2) -> None:
    """Prints accuracies, and some answers before and after."""
    print(f"\n{name}: held-out accuracy before and after ({outcome.seconds:.0f} s of training)\n")
    if outcome.pairs is not None:
        show_line("pairs", *outcome.pairs)
    before, after = outcome.before, outcome.after
    if before is None or after is None:
        return
    for task, right in (after.by_task | {"all": after.accuracy}).items():
        show_line(task, (before.by_task | {"all": before.accuracy})[task], right)
    for old, new in list(zip(before.samples, after.samples, strict=True))[: samples * len(after.by_task)]:
        mark = "right" if new.right else f"wrong, it is {new.answer}"
        print(f"\n  {new.prompt}\n    before: {old.completion[:60]!r}\n    after:  {new.completion!r} ({mark})")


def show_line(name: str, was: float, now: float) -> None:
    print(f"  {name:10s} {was:6.1%} -> {now:6.1%}   {100 * (now - was):+6.1f} points")


def report(output: Path, outcomes: dict[str, Outcome], samples: int = 24) -> Path:
    """Writes one page about all stages."""
    sections: list[Section] = []
    for name, outcome in outcomes.items():
        before, after = outcome.before, outcome.after
        if outcome.pairs is not None:
            was, now = outcome.pairs
            note = "Share of held-out pairs whose better answer is ranked first."
            sections.append(Comparison(f"{name}: held-out pairs", {"pairs": was}, {"pairs": now}, note=note))
        if before is not None and after is not None:
            sections.append(
                Comparison(
                    f"{name}: held-out exact match",
                    {"all": before.accuracy} | before.by_task,
                    {"all": after.accuracy} | after.by_task,
                    note=f"Greedy answers to {len(after.samples)} questions that no training data contains.",
                )
            )
        sections.append(Curves(f"{name}: training", read_log_history(output / name)))
        if before is not None and after is not None:
            pairs = list(zip(before.samples, after.samples, strict=True))[:samples]
            sections.append(
                Samples(
                    f"{name}: answers",
                    ("before", "after"),
                    [new.prompt for _, new in pairs],
                    [(old.completion, new.completion) for old, new in pairs],
                    [(old.right, new.right) for old, new in pairs],
                )
            )
    return write_page(output / "report.html", "Sternpost demo", sections)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sternpost.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-dir", type=Path, default=Path("demo-run"), help="default: demo-run")
    parser.add_argument("--only", choices=STAGES, action="append", help="run this stage alone (may be repeated)")
    asked = parser.parse_args()
    outcomes = {}
    for name in asked.only or STAGES:
        trained = asked.output_dir / "sft"
        if name != "sft" and not (trained / "config.json").exists():
            parser.error(f"the stage {name} starts from the model of the stage sft; add `--only sft`")
        outcomes[name] = STAGES[name](
            path("model") if name == "sft" else str(trained), asked.output_dir / name, asked.seed
        )
        show(name, outcomes[name])
    print(f"\nReport: {report(asked.output_dir, outcomes)}")
    print("DEMO", json.dumps({name: outcome.numbers for name, outcome in outcomes.items()}))


if __name__ == "__main__":
    main()
