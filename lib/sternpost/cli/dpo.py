"""Preference optimisation: train a model to prefer the better of two answers (DPO and its relatives)."""

from typing import Any

from .training import Command, Inputs, processor, run


def build(inputs: Inputs) -> Any:
    """The trainer of this command. The reference is the model as it is at the start."""
    from ..dpo import DPOTrainer

    return DPOTrainer(
        inputs.model,
        args=inputs.args,
        train_dataset=inputs.train_dataset,
        eval_dataset=inputs.eval_dataset,
        processing_class=processor(inputs),
        peft_config=inputs.peft_config,
        quantization_config=inputs.quantization_config,
        callbacks=inputs.callbacks,
    )


COMMAND = Command(name="dpo", title=__doc__, config="DPOConfig", room="dpo", build=build)


def main(argv: list[str]) -> int:
    return run(COMMAND, argv)
