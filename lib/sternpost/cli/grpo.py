"""Group-relative policy optimisation: learn from rewards, compared within each prompt (GRPO and its relatives)."""

from typing import Any

from .rewards import check_rewards, rewards
from .training import Command, Inputs, run


def build(inputs: Inputs) -> Any:
    """The trainer of this command."""
    from ..grpo import GRPOTrainer

    return GRPOTrainer(
        inputs.model,
        reward_funcs=rewards(inputs),
        args=inputs.args,
        train_dataset=inputs.train_dataset,
        eval_dataset=inputs.eval_dataset,
        peft_config=inputs.peft_config,
        quantization_config=inputs.quantization_config,
        callbacks=inputs.callbacks,
    )


COMMAND = Command(
    name="grpo",
    title=__doc__,
    config="GRPOConfig",
    room="grpo",
    build=build,
    also=("RewardArguments",),
    check=check_rewards,
)


def main(argv: list[str]) -> int:
    return run(COMMAND, argv)
