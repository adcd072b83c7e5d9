"""Supervised fine-tuning: teach a model to continue as the rows do."""

from typing import Any

from .training import Command, Inputs, processor, run


def build(inputs: Inputs) -> Any:
    """The trainer of this command."""
    from ..sft import SFTTrainer

    return SFTTrainer(
        inputs.model,
        args=inputs.args,
        train_dataset=inputs.train_dataset,
        eval_dataset=inputs.eval_dataset,
        processing_class=processor(inputs),
        peft_config=inputs.peft_config,
        quantization_config=inputs.quantization_config,
        callbacks=inputs.callbacks,
    )


COMMAND = Command(name="sft", title=__doc__, config="SFTConfig", room="sft", build=build)


def main(argv: list[str]) -> int:
    return run(COMMAND, argv)
