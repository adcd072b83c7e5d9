"""Trains a few steps in as many processes as it is launched in; rank 0 writes what it logged as JSON.

python -m torch.distributed.run --nproc_per_node 2 tests/reward/distributed_run.py OUT '{"option": value}'
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from datasets import Dataset

from sternpost import RewardConfig, RewardTrainer
from tests import tiny
from tests.processes import leave, shard_on_cpus
from tests.reward import runs


def main() -> None:
    out, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    if "fsdp" in options:
        shard_on_cpus()
    rows = Dataset.from_list(runs.with_margins(runs.pairs(16)))
    if options.pop("streaming", False):
        rows = rows.to_iterable_dataset()
    resume = options.pop("resume", None)
    defaults = dict(use_cpu=True, bf16=False, center_rewards_coefficient=0.05, output_dir=str(out.with_suffix("")))
    args = RewardConfig(**runs.QUIET | defaults | options)
    trainer = RewardTrainer(
        runs.reward_model(), args, train_dataset=rows, eval_dataset=Dataset.from_list(runs.pairs(8, seed=5)),
        processing_class=tiny.tokenizer(),
    )  # fmt: skip
    trainer.train(resume)
    metrics = trainer.evaluate()
    if trainer.is_world_process_zero():
        kept = {name: value for name, value in metrics.items() if "reward" in name or "accuracy" in name}
        out.write_text(json.dumps({"lines": runs.lines(trainer), "eval": kept | {"loss": metrics["eval_loss"]}}))
    leave()


if __name__ == "__main__":
    main()
