"""Reward modelling: train a model that gives better answers higher numbers."""

from typing import Any

from .training import Command, Inputs, run


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


def processor(inputs: Inputs) -> Any:
    """The processor that rows with images need; for other rows the trainer loads the tokenizer."""
    if not {"image", "images"}.intersection(inputs.train_dataset.column_names or ()):
        return None
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(inputs.model, trust_remote_code=inputs.args.trust_remote_code)


COMMAND = Command(name="reward", title=__doc__, config="RewardConfig", room="reward", build=build)


def main(argv: list[str]) -> int:
    return run(COMMAND, argv)
