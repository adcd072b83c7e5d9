import dataclasses

__all__ = ["Config"]

LENGTH = 2 * 512


@dataclasses.dataclass
class Config:
    max_length: "int | None" = LENGTH
    loss_type: list[str] = dataclasses.field(default_factory=lambda: ["sigmoid"], metadata={"help": "Losses."})
    names: dict[str, str | int] = dataclasses.field(default_factory=lambda: {})
