"""GRPO on a task of reasoning-gym: the model inside the package learns from scores alone.

Run it from anywhere: `python examples/grpo_reasoning_gym.py [TASK [SEED [OUTPUT_DIR [STEPS]]]]`, where the task is
`chain_sum` or `leg_counting`. It needs `pip install 'sternpost[reasoning-gym]'`.

The model has never seen these questions, so it is first shown some with their answers; every third of these shows its
steps. That leaves it answering mostly at once and often wrongly. Then rewards tell it that showing its steps works.
"""

import re
import sys

from datasets import Dataset
from reasoning_gym.arithmetic.leg_counting import ANIMALS

from sternpost import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer, demo
from sternpost.demo.evaluate import generate
from sternpost.generation.reasoning_gym import task


def sum_steps(question: str) -> str:
    """The running total of "... problem: 3 + 8 - 2 =", a line for each term after the first."""
    total, *terms = re.findall(r"(?:[+-] )?\d+", question.rpartition(":")[2])
    lines = []
    for term in (each.replace(" ", "") for each in terms):
        lines.append(f"{total}{term}={int(total) + int(term)}")
        total = int(total) + int(term)
    return "\n".join(lines)


def leg_steps(question: str) -> str:
    """The legs of each kind in "... if you have 3 spiders, 1 cow?" and of all, a line each."""
    lines, total = [], 0
    for number, kind in re.findall(r"(\d+) ([a-z ]+)", question):
        each = ANIMALS[kind.removesuffix("s") if int(number) > 1 else kind]
        legs = int(number) * each
        lines.append(f"{number}*{each}={legs}")
        if len(lines) > 1:
            lines.append(f"{total}+{legs}={total + legs}")
        total += legs
    return "\n".join(lines)


TASKS = {
    "chain_sum": ({"min_terms": 3, "max_terms": 4, "min_digits": 1, "max_digits": 1}, sum_steps, 1000),
    "leg_counting": ({"min_animals": 2, "max_animals": 2, "max_instances": 5}, leg_steps, 2000),
}
"""Options of the task, how to come from its question to the answer, and how many questions are shown with answers."""


def warm_up(name: str, rows: Dataset, args: SFTConfig) -> SFTTrainer:
    """Fine-tune on answers, a third of them with steps."""
    steps = TASKS[name][1]
    shown = []
    for at, row in enumerate(rows):
        answer = f"<answer>{row['answer']}</answer>"
        if at % 3 == 0:
            answer = f"{steps(row['prompt'][0]['content'])}\n{answer}"
        shown.append({"prompt": row["prompt"], "completion": [{"role": "assistant", "content": answer}]})
    trainer = SFTTrainer(demo.path("model"), args=args, train_dataset=Dataset.from_list(shown))
    trainer.train()
    trainer.save_model()
    return trainer


def learn(name: str, seed: int, output_dir: str, steps: int = 35) -> tuple[list[float], list[float]]:
    """The scores of greedy answers to 300 held-out questions, before GRPO and after it."""
    config, _, demonstrations = TASKS[name]
    # Problem i of seed s is problem i + 1 of seed s - 1: seeds have to lie further apart than there are problems.
    first = 1_000_000 * (seed + 1)
    held_out, score = task(name, 300, first, **config)
    asked = {row["prompt"][0]["content"] for row in held_out}

    def others(size: int, start: int) -> tuple[Dataset, object]:
        rows, reward = task(name, size, start, **config)
        return rows.filter(lambda row: row["prompt"][0]["content"] not in asked), reward

    def scores(trainer: SFTTrainer | GRPOTrainer) -> list[float]:
        said = generate(trainer.model.eval(), trainer.processing_class, held_out["prompt"])
        return score([[{"role": "assistant", "content": text}] for text in said], held_out["entry"])

    # So small a model is no faster in bfloat16.
    common = {"seed": seed, "data_seed": seed, "bf16": False, "logging_steps": 5, "save_strategy": "no"}
    tuned = f"{output_dir}/sft"
    shown, _ = others(demonstrations, first + 100_000)
    before = scores(
        warm_up(
            name,
            shown,
            SFTConfig(
                output_dir=tuned,
                per_device_train_batch_size=16,
                num_train_epochs=2,
                learning_rate=1e-3,
                warmup_steps=10,
                **common,
            ),
        )
    )
    rows, reward = others(4000, first + 200_000)
    trainer = GRPOTrainer(
        tuned,
        reward,
        GRPOConfig(
            output_dir=output_dir,
            per_device_train_batch_size=192,
            num_generations=8,
            max_completion_length=48,
            generation_slots=192,
            max_steps=steps,
            learning_rate=2e-4,
            **common,
        ),
        rows,
    )
    trainer.train()
    trainer.save_model()
    return before, scores(trainer)


def main(
    name: str = "chain_sum", seed: str = "0", output_dir: str = "runs/grpo_reasoning_gym", steps: str = "35"
) -> None:
    before, after = learn(name, int(seed), output_dir, int(steps))
    better = sum(new > old for old, new in zip(before, after, strict=True))
    worse = sum(new < old for old, new in zip(before, after, strict=True))
    was, now = (sum(scores) / len(scores) for scores in (before, after))
    print(f"{name}, seed {seed}: mean score of {len(before)} held-out questions {was:.3f} -> {now:.3f};")
    print(f"{better} questions better, {worse} worse. The model is in {output_dir}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
