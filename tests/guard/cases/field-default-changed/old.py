"""Defaults are followed through constants and factories; a newer way to annotate is no change."""

import dataclasses
from typing import Dict, List, Optional, Union

__all__ = ["Config"]

LENGTH = 512


@dataclasses.dataclass
class Config:
    max_length: Optional[int] = LENGTH
    loss_type: List[str] = dataclasses.field(default_factory=lambda: ["sigmoid"], metadata={"help": "Which losses."})
    names: Dict[str, Union[int, str]] = dataclasses.field(default_factory=dict)
