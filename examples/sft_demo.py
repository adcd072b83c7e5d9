"""Supervised fine-tuning from Python, with the progress display and the Ctrl-C of the command line.

Run it from anywhere: `python examples/sft_demo.py [OUTPUT_DIR [NUM_EPOCHS]]`. Model and rows are inside the package.
"""

import sys

from transformers import PrinterCallback, ProgressCallback

from sternpost import RichProgressCallback, SFTConfig, SFTTrainer, demo
from sternpost.callbacks import SaveOnInterruptCallback


def main(output_dir: str = "runs/sft_demo", num_epochs: str = "3") -> None:
    rows = demo.load("messages").train_test_split(test_size=100, seed=0)
    progress, interrupt = RichProgressCallback(), SaveOnInterruptCallback()
    trainer = SFTTrainer(
        model=demo.path("model"),
        args=SFTConfig(
            output_dir=output_dir,
            num_train_epochs=float(num_epochs),
            per_device_train_batch_size=16,
            learning_rate=1e-3,
            warmup_steps=10,
            assistant_only_loss=True,
            logging_steps=20,
            eval_strategy="epoch",
            save_strategy="no",
        ),
        train_dataset=rows["train"],
        eval_dataset=rows["test"],
        callbacks=[progress, interrupt],
    )
    # Ours shows the progress; without these lines transformers would show it a second time.
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)

    with progress, interrupt:
        trainer.train()
    if interrupt.stopped:
        print(f"Stopped. trainer.train(resume_from_checkpoint={interrupt.checkpoint!r}) goes on.")
    else:
        trainer.save_model()
        print(f"Saved the model to {output_dir}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
