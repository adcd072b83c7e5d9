"""One measurement of one library, in a process of its own, so that nothing of the other is loaded and peaks are clean.

python benchmarks/measure.py '{"kind": "train", "library": "trl", ...}'     -> last line `MEASURED {json}`
"""

import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_mib() -> float:
    """Memory of this process that is in RAM now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def reset_peak() -> None:
    """Start the high-water mark of resident memory again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Largest resident memory since `reset_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def cpu_seconds() -> float:
    """CPU time of this process and its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def step_clock() -> Any:
    """A callback that takes the time of every optimizer step."""
    from transformers import TrainerCallback

    class StepClock(TrainerCallback):
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.cpu: list[float] = []

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.started, self.cpu_started = time.perf_counter(), cpu_seconds()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.seconds.append(time.perf_counter() - self.started)
            self.cpu.append(cpu_seconds() - self.cpu_started)

    return StepClock()


def options(spec: dict[str, Any], folder: str) -> dict[str, Any]:
    """Options of every run: nothing reported, nothing saved, every step logged; then those of the row."""
    common = {
        "output_dir": folder,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "seed": 0,
        "lr_scheduler_type": "constant",
    }
    return common | spec["options"]


CLASSES = {
    "sft": ("SFTConfig", "SFTTrainer", "AutoModelForCausalLM"),
    "dpo": ("DPOConfig", "DPOTrainer", "AutoModelForCausalLM"),
    "reward": ("RewardConfig", "RewardTrainer", "AutoModelForSequenceClassification"),
    "grpo": ("GRPOConfig", "GRPOTrainer", "AutoModelForCausalLM"),
    "rloo": ("RLOOConfig", "RLOOTrainer", "AutoModelForCausalLM"),
}
"""Method -> options and trainer in both libraries, and the model in transformers."""


def load(spec: dict[str, Any]) -> tuple[Any, Any]:
    """Model and tokenizer. The weights are touched, so that reading them from disk is nobody's work or memory."""
    import torch
    import transformers

    if spec["onednn"]:
        # Lets float32 products go to oneDNN, which rounds them only if there are matrix units (see products.py).
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    torch.manual_seed(0)  # the head of a reward model is new
    model_class = getattr(transformers, CLASSES[spec["method"]][2])
    sizes = {"num_labels": 1} if spec["method"] == "reward" else {}
    model = model_class.from_pretrained(spec["model"], dtype=torch.float32, **sizes)
    for weight in model.parameters():
        weight.detach().sum()
    return model, transformers.AutoTokenizer.from_pretrained(spec["model"])


def count_learned(examples: list[dict[str, Any]], batch: dict[str, Any]) -> int:
    """Predictions that the loss of a batch is made of: tokens, or for reward models pairs."""
    if "labels" in batch:
        return int((batch["labels"][:, 1:] != -100).sum())
    return int(batch["completion_mask"].sum()) if "completion_mask" in batch else len(examples)


def used(before: float) -> dict[str, float]:
    """Memory of what was done since it was this and the peak was reset."""
    peak = peak_mib()
    return {"before_mib": before, "peak_mib": peak, "growth_mib": peak - before}


def train(spec: dict[str, Any], folder: str) -> dict[str, Any]:
    """Seconds per step, tokens per step, losses, and memory while training."""
    from datasets import load_from_disk

    library = importlib.import_module(spec["library"])
    model, tokenizer = load(spec)
    config_class, trainer_class, _ = (getattr(library, name, None) for name in CLASSES[spec["method"]])
    args = config_class(**options(spec, folder))
    clock = step_clock()
    trainer = trainer_class(
        model=model,
        args=args,
        train_dataset=load_from_disk(spec["rows"]),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    collate, tokens, learned = trainer.data_collator, [], []

    def counting(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = collate(examples)
        mask = batch.get("attention_mask")
        tokens.append(batch["input_ids"].numel() if mask is None else int(mask.sum()))
        learned.append(count_learned(examples, batch))
        return batch

    trainer.data_collator = counting
    before = resident_mib()
    reset_peak()
    trainer.train()
    memory = used(before)
    logs = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    warm = slice(1, len(clock.seconds))  # the first step allocates the optimizer's state and fills caches
    return {
        "seconds": statistics.median(clock.seconds[warm]),
        "cpu_seconds": statistics.median(clock.cpu[warm]),
        "tokens_per_second": sum(tokens[warm]) / sum(clock.seconds[warm]),
        **memory,
        "losses": [entry["loss"] for entry in logs],
        "grad_norms": [entry["grad_norm"] for entry in logs],
        "learned": learned[: len(clock.seconds)],
        "bf16": bool(args.bf16),
        "gradient_checkpointing": bool(args.gradient_checkpointing),
    }


def prepare(spec: dict[str, Any], folder: str) -> dict[str, Any]:
    """Seconds to turn conversations into packed tokens, with nothing cached."""
    import datasets

    datasets.disable_caching()
    library = importlib.import_module(spec["library"])
    model, tokenizer = load(spec)
    rows = datasets.load_from_disk(spec["rows"])
    rows = rows.select(range(min(spec["count"], len(rows))))
    args = library.SFTConfig(**options(spec, folder))
    started, cpu_started = time.perf_counter(), cpu_seconds()
    trainer = library.SFTTrainer(model=model, args=args, train_dataset=rows, processing_class=tokenizer)
    seconds, cpu = time.perf_counter() - started, cpu_seconds() - cpu_started
    packed = trainer.train_dataset.with_format("arrow")[:].column("input_ids")
    tokens = sum(len(ids) for ids in packed)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "rows_per_second": len(rows) / seconds,
        "tokens": tokens,
        "packed_rows": len(packed),
        "fill": tokens / (len(packed) * args.max_length),
        "peak_mib": peak_mib(),
    }


def main() -> None:
    from online import online

    kinds = {"train": train, "prepare": prepare, "online": online}
    spec = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        print("MEASURED " + json.dumps(kinds[spec["kind"]](spec, folder)))


if __name__ == "__main__":
    main()
