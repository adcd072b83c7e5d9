"""Reward modelling from Python: teach a model inside the package to rank answers, then let it score some.

Run it from anywhere: `python examples/reward_demo.py [OUTPUT_DIR [STEPS]]`. Model and pairs are inside the package.
"""

import sys

import torch

from sternpost import RewardConfig, RewardTrainer, demo


def main(output_dir: str = "runs/reward_demo", steps: str = "100") -> None:
    held_out = demo.load("held_out_preference")
    trainer = RewardTrainer(
        model=demo.path("model"),
        args=RewardConfig(
            output_dir=output_dir,
            max_steps=int(steps),
            per_device_train_batch_size=16,
            learning_rate=1e-3,
            center_rewards_coefficient=0.01,
            logging_steps=10,
            save_strategy="no",
        ),
        train_dataset=demo.load("preference_messages"),
        eval_dataset=held_out,
    )
    trainer.train()
    print(f"ranked rightly: {trainer.evaluate()['eval_accuracy']:.0%} of {len(held_out)} held-out pairs")
    trainer.save_model()
    print(f"Saved the model to {output_dir}.")

    model, tokenizer = trainer.model.eval(), trainer.processing_class
    for side in ("chosen", "rejected"):
        chat = held_out[0]["prompt"] + held_out[0][side]
        batch = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True).to(model.device)
        with torch.no_grad():
            print(f"{model(**batch).logits.item():+.2f}  {chat[-1]['content']!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
