"""Shows that training works: the embedded base model answers held-out questions before and after each stage.

A stage is a function: it takes a model directory, trains, saves a model directory for the next stage. To add one, write
it and name it in `STAGES`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer, ProgressCallback

from ..callbacks import RichProgressCallback
from ..report import Comparison, Curves, Samples, Section, read_log_history, write_page
from . import load, path
from .evaluate import Evaluation, evaluate


@dataclass(frozen=True)
class Outcome:
    """What a stage has achieved: held-out answers before and after, and the seconds its training took."""

    before: Evaluation
    after: Evaluation
    seconds: float

    @property
    def numbers(self) -> dict[str, float]:
        """What the last line of the demo says of the stage: accuracies as fractions."""
        before, after = round(self.before.accuracy, 4), round(self.after.accuracy, 4)
        return {"before": before, "after": after, "seconds": round(self.seconds, 1)}


def evaluate_directory(folder: str | Path) -> Evaluation:
    """Held-out answers of a saved model."""
    return evaluate(AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))


def sft(start: str, output: Path, seed: int) -> Outcome:
    """Supervised fine-tuning of the base model on the demo's conversations: it learns to answer questions."""
    from ..sft import SFTConfig, SFTTrainer

    before = evaluate_directory(start)
    trainer = SFTTrainer(
        start,
        args=SFTConfig(
            output_dir=str(output),
            num_train_epochs=3,
            per_device_train_batch_size=16,
            learning_rate=1e-3,
            warmup_steps=10,
            assistant_only_loss=True,
            bf16=False,  # so small a model is no faster in it
            seed=seed,
            data_seed=seed,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=load("messages"),
        callbacks=[RichProgressCallback()],
    )
    trainer.remove_callback(ProgressCallback)
    clock = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - clock
    trainer.save_model()
    trainer.save_state()
    return Outcome(before, evaluate(trainer.model, trainer.processing_class), seconds)


STAGES: dict[str, Callable[[str, Path, int], Outcome]] = {"sft": sft}
"""In the order in which they run; each starts from the model that the one before it has saved."""


def show(name: str, outcome: Outcome, samples: int = 2) -> None:
    """Prints accuracy by task and some answers before and after."""
    before, after = outcome.before, outcome.after
    print(f"\n{name}: held-out exact match before and after ({outcome.seconds:.0f} s of training)\n")
    for task, right in (after.by_task | {"all": after.accuracy}).items():
        was = (before.by_task | {"all": before.accuracy})[task]
        print(f"  {task:10s} {was:6.1%} -> {right:6.1%}   {100 * (right - was):+6.1f} points")
    for old, new in list(zip(before.samples, after.samples, strict=True))[: samples * len(after.by_task)]:
        mark = "right" if new.right else f"wrong, it is {new.answer}"
        print(f"\n  {new.prompt}\n    before: {old.completion[:60]!r}\n    after:  {new.completion!r} ({mark})")


def report(output: Path, outcomes: dict[str, Outcome], samples: int = 24) -> Path:
    """Writes one page about all stages."""
    sections: list[Section] = []
    for name, outcome in outcomes.items():
        before, after = outcome.before, outcome.after
        pairs = list(zip(before.samples, after.samples, strict=True))[:samples]
        sections += [
            Comparison(
                f"{name}: held-out exact match",
                {"all": before.accuracy} | before.by_task,
                {"all": after.accuracy} | after.by_task,
                note=f"Greedy answers to {len(after.samples)} questions that no training data contains.",
            ),
            Curves(f"{name}: training", read_log_history(output / name)),
            Samples(
                f"{name}: answers",
                ("before", "after"),
                [new.prompt for _, new in pairs],
                [(old.completion, new.completion) for old, new in pairs],
                [(old.right, new.right) for old, new in pairs],
            ),
        ]
    return write_page(output / "report.html", "Sternpost demo", sections)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sternpost.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-dir", type=Path, default=Path("demo-run"), help="default: demo-run")
    parser.add_argument("--only", choices=STAGES, action="append", help="run this stage alone (may be repeated)")
    options = parser.parse_args()
    model, outcomes = path("model"), {}
    for name in options.only or STAGES:
        outcomes[name] = STAGES[name](model, options.output_dir / name, options.seed)
        model = str(options.output_dir / name)
        show(name, outcomes[name])
    print(f"\nReport: {report(options.output_dir, outcomes)}")
    print("DEMO", json.dumps({name: outcome.numbers for name, outcome in outcomes.items()}))


if __name__ == "__main__":
    main()
