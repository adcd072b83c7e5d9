"""Reward modelling: train a model that gives better answers higher numbers."""

from typing import Any

from .training import Command, Inputs, processor, run


def build(inputs: Inputs) -> Any:
    """The trainer of this command."""
    from ..reward import RewardTrainer

    if inputs.peft_config is not None:
        inputs.peft_config.task_type = "SEQ_CLS"  # of `lora_task_type` every command has the same default
    return RewardTrainer(
        inputs.model,
        args=inputs.args,
        train_dataset=inputs.train_dataset,
        eval_dataset=inputs.eval_dataset,
        processing_class=processor(inputs),
        peft_config=inputs.peft_config,
        quantization_config=inputs.quantization_config,
        callbacks=inputs.callbacks,
    )


COMMAND = Command(name="reward", title=__doc__, config="RewardConfig", room="reward", build=build)


def main(argv: list[str]) -> int:
    return run(COMMAND, argv)
