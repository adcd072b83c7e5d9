"""The rows of the benchmark, as data: what both libraries are given to do, and what must come out.

`best` are the fastest settings that were found for the peer, with the same numerics in both libraries; `default` are
each library's own defaults; `bfloat16` is reported beside them, without a target. Ratios are such that more is better
for us, except for memory: our growth over the peer's.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

PEER, OURS = "trl", "sternpost"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    what: str
    kind: Literal["import", "command", "prepare", "train", "online"]
    must: float
    """Least ratio; for memory the largest; for the row `import` the most seconds."""
    aim: float
    metric: Literal["seconds", "tokens_per_second", "generated_per_second", "growth_mib", "peak_mib"] = "seconds"
    default_must: float | None = None
    """Least ratio between the libraries' own defaults."""
    statement: str = ""
    """What a fresh interpreter runs, or the arguments of the command."""
    method: Literal["sft", "dpo", "reward", "grpo", "rloo"] = "sft"
    model: str = "small"
    rows: str = "fixed"
    count: int | None = None
    """Rows to prepare."""
    best: dict[str, Any] = field(default_factory=dict)
    default: dict[str, Any] | None = None
    bfloat16: dict[str, Any] | None = None
    peer_best: dict[str, Any] = field(default_factory=dict)
    """What makes the peer faster still and has no meaning for us."""
    cores: int = 1
    ends: float = 0.0
    """Probability with which a completion ends at each token; 0 leaves it as random weights have it: almost never."""
    onednn: tuple[str, ...] = (PEER, OURS)
    """Libraries that oneDNN's float32 products make faster in this row, where they are fast at all."""

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(name for name in ("best", "default", "bfloat16") if getattr(self, name) is not None)

    @property
    def smaller_is_better(self) -> bool:
        return self.metric in ("growth_mib", "peak_mib") or self.name == "import"

    def options(self, library: str, variant: str) -> dict[str, Any]:
        """Options of the run, beside those that all runs have."""
        extra = self.peer_best if library == PEER and variant == "best" else {}
        return getattr(self, variant) | extra


FULL_PRECISION = {"bf16": False, "gradient_checkpointing": False}
HALF_PRECISION = {"bf16": True, "gradient_checkpointing": False}
TWO_ROWS = {"per_device_train_batch_size": 2, "learning_rate": 1e-5, "max_steps": 4}
VARYING = {"max_length": 1024, "learning_rate": 0.0, "num_train_epochs": 1}
"""A whole epoch with a learning rate of zero, so that the mean loss must agree whichever rows share a batch."""
PACKED = {"packing": True, "max_length": 1024, "bf16": False}

ROWS = (
    Row("import", "`import NAME`: seconds", "import", 0.15, 0.05, statement="import {library}"),
    Row(
        "import-trainer",
        "`from NAME import SFTTrainer`",
        "import",
        must=1.4,
        aim=2,
        statement="from {library} import SFTTrainer, SFTConfig",
    ),
    Row("cli", "`NAME sft --help`", "command", must=10, aim=15, statement="sft --help"),
    Row("prep", "5000 conversations packed", "prepare", 2, 4, rows="conversations", count=5000, best=PACKED),
    Row(
        "prep-2-cores",
        "the same on two cores; the peer with two processes, by default with one",
        "prepare",
        must=1,
        aim=2,
        default_must=2,
        rows="conversations",
        count=5000,
        best=PACKED,
        default=PACKED,
        peer_best={"dataset_num_proc": 2},
        cores=2,
    ),
    Row(
        "sft-small",
        "48 M parameters, 2 rows of 512 tokens",
        "train",
        must=1.25,
        aim=1.4,
        default_must=2.2,
        best=TWO_ROWS | FULL_PRECISION,
        default=TWO_ROWS,
        bfloat16=TWO_ROWS | HALF_PRECISION,
    ),
    Row(
        "sft-wide",
        "94 M parameters, vocabulary 152k, 2 rows of 512 tokens",
        "train",
        must=2.2,
        aim=3,
        default_must=2.8,
        model="wide",
        best=TWO_ROWS | FULL_PRECISION,
        default=TWO_ROWS,
        bfloat16=TWO_ROWS | HALF_PRECISION,
    ),
    Row(
        "sft-wide-masked",
        "`sft-wide` with half of the tokens learned",
        "train",
        must=3,
        aim=4.5,
        model="wide",
        rows="masked",
        best=TWO_ROWS | FULL_PRECISION,
    ),
    Row(
        "sft-wide-mem",
        "`sft-wide`: growth of resident memory",
        "train",
        must=0.7,
        aim=0.5,
        metric="growth_mib",
        model="wide",
        best=TWO_ROWS | FULL_PRECISION,
        default=TWO_ROWS,
        bfloat16=TWO_ROWS | HALF_PRECISION,
    ),
    Row(
        "sft-varlen",
        "lengths vary, at most 1024: packed in both; by default 8 rows as the library lays them out",
        "train",
        must=1.5,
        aim=1.8,
        default_must=3,
        metric="tokens_per_second",
        rows="varlen",
        best=VARYING | FULL_PRECISION | {"packing": True, "per_device_train_batch_size": 2},
        default=VARYING | {"per_device_train_batch_size": 8},
    ),
)

TWO_PAIRS = TWO_ROWS | {"max_length": 512}

DPO_ROWS = (
    Row(
        "dpo-small",
        "48 M parameters, 2 pairs, prompts of 256 of 512 tokens",
        "train",
        must=1.7,
        aim=2.1,
        default_must=2.5,
        method="dpo",
        rows="pairs",
        best=TWO_PAIRS | FULL_PRECISION,
        default=TWO_PAIRS,
        bfloat16=TWO_PAIRS | HALF_PRECISION,
    ),
    Row(
        "dpo-wide",
        "94 M parameters, vocabulary 152k, otherwise `dpo-small`",
        "train",
        must=2.8,
        aim=3.5,
        default_must=2.5,
        method="dpo",
        model="wide",
        rows="pairs",
        best=TWO_PAIRS | FULL_PRECISION,
        default=TWO_PAIRS,
        bfloat16=TWO_PAIRS | HALF_PRECISION,
    ),
    Row(
        "dpo-long-prompt",
        "`dpo-small` with prompts of 768 of 1024 tokens",
        "train",
        must=2.3,
        aim=3,
        method="dpo",
        rows="long_pairs",
        best=TWO_PAIRS | FULL_PRECISION | {"max_length": 1024},
    ),
    Row(
        "dpo-mem",
        "`dpo-small`: peak of resident memory",
        "train",
        must=0.7,
        aim=0.5,
        metric="peak_mib",
        method="dpo",
        rows="pairs",
        best=TWO_PAIRS | FULL_PRECISION,
        default=TWO_PAIRS,
        bfloat16=TWO_PAIRS | HALF_PRECISION,
    ),
)

REWARD_ROWS = (
    Row(
        "reward-small",
        "48 M parameters, 2 pairs, prompts of 256 of 512 tokens",
        "train",
        must=1.15,
        aim=1.5,
        default_must=2.2,
        method="reward",
        rows="pairs",
        best=TWO_PAIRS | FULL_PRECISION | {"max_length": 600},
        default=TWO_PAIRS | {"max_length": 600},
        bfloat16=TWO_PAIRS | HALF_PRECISION | {"max_length": 600},
    ),
)
"""Pairs that are too long are dropped from reward modelling, so none is."""

GROUP_OF_8 = {
    "per_device_train_batch_size": 8,
    "num_generations": 8,
    "max_completion_length": 64,
    "max_steps": 3,
    "shuffle_dataset": False,
}
"""One prompt, eight completions of 64 tokens, one update."""

ONLINE_ROWS = (
    Row(
        "gen",
        "2 prompts of 128 tokens, 8 completions of 64 tokens each: tokens per second of generation alone",
        "online",
        must=1.5,
        aim=2.5,
        default_must=2.4,
        metric="generated_per_second",
        method="grpo",
        rows="prompts_128",
        best=GROUP_OF_8 | FULL_PRECISION | {"per_device_train_batch_size": 16},
        default=GROUP_OF_8 | {"per_device_train_batch_size": 16},
        onednn=(OURS,),
    ),
    Row(
        "grpo-p128",
        "GRPO, a prompt of 128 tokens, 8 completions of 64 tokens: seconds of a step",
        "online",
        must=1.7,
        aim=2.5,
        default_must=2.5,
        method="grpo",
        rows="prompts_128",
        best=GROUP_OF_8 | FULL_PRECISION,
        default=GROUP_OF_8,
        bfloat16=GROUP_OF_8 | HALF_PRECISION,
    ),
    Row(
        "grpo-p512",
        "`grpo-p128` with a prompt of 512 tokens",
        "online",
        must=3.3,
        aim=5,
        method="grpo",
        rows="prompts_512",
        best=GROUP_OF_8 | FULL_PRECISION,
    ),
    Row(
        "grpo-p512-mem",
        "`grpo-p512`: peak of resident memory",
        "online",
        must=0.4,
        aim=0.25,
        metric="peak_mib",
        method="grpo",
        rows="prompts_512",
        best=GROUP_OF_8 | FULL_PRECISION,
    ),
    Row(
        "grpo-eos",
        "`grpo-p128` with completions of at most 192 tokens that end at each token with probability 0.01",
        "online",
        must=1.7,
        aim=2.5,
        metric="tokens_per_second",
        method="grpo",
        rows="prompts_128",
        best=GROUP_OF_8 | FULL_PRECISION | {"max_completion_length": 192},
        ends=0.01,
    ),
    Row(
        "rloo-p128",
        "RLOO with a reference, 2 prompts of 128 tokens, 8 completions of 128 tokens each",
        "online",
        must=1.7,
        aim=2.5,
        method="rloo",
        rows="prompts_128",
        best=GROUP_OF_8
        | FULL_PRECISION
        | {"gradient_accumulation_steps": 2, "max_completion_length": 128, "beta": 0.05},
    ),
)
"""What a completion is, is decided by chance, so a run in which both libraries draw by the same random numbers comes
before those that are timed: same completions, same gradients."""

GROUPS = {"sft": ROWS, "dpo": DPO_ROWS, "reward": REWARD_ROWS, "online": ONLINE_ROWS}
"""`python benchmarks/run.py GROUP` -> its rows."""
