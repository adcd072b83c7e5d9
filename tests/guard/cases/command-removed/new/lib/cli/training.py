from typing import NamedTuple

SHARED = ("ModelConfig",)


class Command(NamedTuple):
    name: str
    config: str
