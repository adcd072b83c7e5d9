"""Options of a run, on top of those of the trainer."""

from dataclasses import dataclass, field

from sternpost import SFTConfig


@dataclass
class LongshoreFields:
    """What Longshore adds to any trainer's options."""

    weight_long_rows: float = field(default=0.0, metadata={"help": "How much more a long row counts."})
    label_floor: int = field(default=0, metadata={"help": "Rows with fewer learned tokens are left out."})
    embedding_lr_scale: float | None = field(default=None, metadata={"help": "Learning rate of embeddings, relative."})


@dataclass
class LongshoreConfig(LongshoreFields, SFTConfig):
    """Ours in front of theirs, and a default of theirs that suits us better."""

    logging_steps: float = 1
    report_to: str | list[str] | None = "none"

    def __post_init__(self):
        super().__post_init__()
        if self.weight_long_rows < 0:
            raise ValueError("weight_long_rows must not be negative")
