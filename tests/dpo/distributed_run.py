"""Trains some short runs, one after another, in as many processes as it is launched in; rank 0 writes what they logged.

python -m torch.distributed.run --nproc_per_node 2 tests/dpo/distributed_run.py OUT '{"name": {"option": value}}'

With `resume`, a run is made twice: through to the end, and again from its first checkpoint.
"""

import gc
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from datasets import Dataset

from sternpost import DPOTrainer
from tests.dpo import runs
from tests.processes import leave, shard_on_cpus


def trainer(path: Path, options: dict[str, Any]) -> DPOTrainer:
    options = dict(options)
    arguments: dict[str, Any] = {"eval_dataset": Dataset.from_list(runs.pairs(8, seed=5))}
    if options.pop("lora", False):
        from peft import LoraConfig

        arguments["peft_config"] = LoraConfig(
            task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights=False, r=4
        )
    elif options.pop("other", True):
        arguments["ref_model"] = runs.policy(seed=7, tie_word_embeddings=options.get("tied", True))
    rows: Any = Dataset.from_list(runs.pairs(24))
    if options.pop("streaming", False):
        rows = rows.to_iterable_dataset()
    arguments["model"] = runs.policy(tie_word_embeddings=options.pop("tied", True))
    return runs.make(path, rows, use_cpu=True, bf16=False, **arguments, **options)


def run(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """What one run logged, and what it evaluated to."""
    resumes = options.pop("resume", False)
    options |= {"save_strategy": "steps", "save_steps": 1} if resumes else {}
    made = trainer(path, options)
    made.train()
    logged = {"lines": runs.lines(made), "eval": made.evaluate(), "rewards seen": made.reward_shift.total.tolist()}
    if resumes:
        again = trainer(path, options)
        again.train(str(path / "checkpoint-1"))
        logged["resumed"] = runs.lines(again)
    return logged


def main() -> None:
    out, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
    if any("fsdp" in options for options in cases.values()):
        shard_on_cpus()
    gc.freeze()  # every run ends with a collection of all garbage
    logged = {name: run(out.with_suffix("") / name, options) for name, options in cases.items()}
    from accelerate import PartialState

    if PartialState().is_main_process:
        out.write_text(json.dumps(logged))
    leave()


if __name__ == "__main__":
    main()
