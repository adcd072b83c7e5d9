"""REINFORCE leave-one-out: learn from rewards, each compared with the others of its prompt (RLOO)."""

from typing import Any

from .rewards import check_rewards, rewards
from .training import Command, Inputs, run


def build(inputs: Inputs) -> Any:
    """The trainer of this command."""
    from ..rloo import RLOOTrainer

    return RLOOTrainer(
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
    name="rloo",
    title=__doc__,
    config="RLOOConfig",
    room="rloo",
    build=build,
    also=("RewardArguments",),
    check=check_rewards,
)


def main(argv: list[str]) -> int:
    return run(COMMAND, argv)
