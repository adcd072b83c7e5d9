"""Trains a few steps in as many processes as it is launched in; rank 0 writes what it logged as JSON.

python -m torch.distributed.run --nproc_per_node 2 tests/sft/distributed_run.py OUT '{"option": value}'
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from datasets import Dataset

from sternpost import SFTConfig, SFTTrainer
from tests import tiny
from tests.processes import leave, shard_on_cpus


def main() -> None:
    out, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    if "fsdp" in options:
        shard_on_cpus()
    peft = None
    if options.pop("lora", False):
        from peft import LoraConfig

        peft = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights=False, r=4)
    rows = Dataset.from_list(tiny.conversations(32))
    if options.pop("streaming", False):
        rows = rows.to_iterable_dataset()
    resume = options.pop("resume", None)
    model = tiny.model(tie_word_embeddings=options.pop("tied", True))
    defaults = dict(
        use_cpu=True, bf16=False, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, max_steps=3,
        learning_rate=1e-2, assistant_only_loss=True, train_sampling_strategy="sequential",
    )  # fmt: skip
    args = SFTConfig(**defaults | {"output_dir": str(out.with_suffix(""))} | options)
    trainer = SFTTrainer(
        model, args, train_dataset=rows, eval_dataset=Dataset.from_list(tiny.conversations(8, seed=5)),
        processing_class=tiny.tokenizer(), peft_config=peft,
    )  # fmt: skip
    trainer.train(resume)
    metrics = trainer.evaluate()
    if trainer.is_world_process_zero():
        lines = [line for line in trainer.state.log_history if "loss" in line]
        kept = ("eval_loss", "eval_entropy", "eval_mean_token_accuracy")
        out.write_text(json.dumps({"lines": lines, "eval": {name: metrics[name] for name in kept}}))
    leave()


if __name__ == "__main__":
    main()
