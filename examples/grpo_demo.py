"""Group-relative policy optimisation from Python: a model answers questions, and learns from what is right.

Run it from anywhere: `python examples/grpo_demo.py [OUTPUT_DIR [STEPS]]`. Model and questions are inside the package.
"""

import sys

from sternpost import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer, demo


def right(completions: list[list[dict[str, str]]], answer: list[str]) -> list[float]:
    """1 for completions whose last line is the answer, else 0; `answer` is a column of the rows."""
    said = [messages[-1]["content"].strip() for messages in completions]
    return [float(text.split("\n")[-1] == each) for text, each in zip(said, answer, strict=True)]


def main(output_dir: str = "runs/grpo_demo", steps: str = "40") -> None:
    tuned = f"{output_dir}/sft"
    first = SFTTrainer(
        model=demo.path("model"),
        args=SFTConfig(
            output_dir=tuned, max_steps=100, per_device_train_batch_size=16, learning_rate=1e-3,
            assistant_only_loss=True, save_strategy="no",
        ),
        train_dataset=demo.load("messages"),
    )  # fmt: skip
    first.train()
    first.save_model()

    rows = demo.load("prompts_messages").train_test_split(test_size=64, seed=0)
    trainer = GRPOTrainer(
        model=tuned,
        reward_funcs=right,
        args=GRPOConfig(
            output_dir=output_dir,
            max_steps=int(steps),
            per_device_train_batch_size=64,  # completions: 8 to each of 8 questions
            per_device_eval_batch_size=128,
            num_generations=8,
            num_generations_eval=2,
            max_completion_length=48,
            learning_rate=2e-4,
            log_completions=True,
            logging_steps=5,
            save_strategy="no",
        ),
        train_dataset=rows["train"],
        eval_dataset=rows["test"],
    )
    before = trainer.evaluate()["eval_reward"]
    trainer.train()
    after = trainer.evaluate()["eval_reward"]
    print(f"right answers to questions that it did not train on: {before:.0%} before, {after:.0%} after")
    trainer.save_model()
    print(f"Saved the model to {output_dir}, and all completions to {output_dir}/completions.")


if __name__ == "__main__":
    main(*sys.argv[1:])
