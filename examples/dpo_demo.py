"""Preference learning from Python: fine-tune the model inside the package, then teach it which answers are better.

Run it from anywhere: `python examples/dpo_demo.py [OUTPUT_DIR [STEPS]]`. Model and pairs are inside the package.
"""

import sys

from sternpost import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer, demo


def main(output_dir: str = "runs/dpo_demo", steps: str = "100") -> None:
    common = {"per_device_train_batch_size": 16, "warmup_steps": 10, "logging_steps": 10, "save_strategy": "no"}
    tuned = f"{output_dir}/sft"
    first = SFTTrainer(
        model=demo.path("model"),
        args=SFTConfig(output_dir=tuned, max_steps=int(steps), learning_rate=1e-3, assistant_only_loss=True, **common),
        train_dataset=demo.load("messages"),
    )
    first.train()
    first.save_model()

    trainer = DPOTrainer(
        model=tuned,
        args=DPOConfig(output_dir=output_dir, max_steps=int(steps), learning_rate=1e-4, beta=0.1, **common),
        train_dataset=demo.load("preference_messages"),
        eval_dataset=demo.load("held_out_preference"),
    )
    print("before:", trainer.evaluate())
    trainer.train()
    print("after:", trainer.evaluate())
    trainer.save_model()
    print(f"Saved the model to {output_dir}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
