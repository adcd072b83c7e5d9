"""`_SMALL` is followed to its value; `1024` written otherwise is no change."""

__all__ = ["cut", "load", "sample"]

_SMALL = 8


def cut(rows, length=1024, side="left"): ...


def load(path, batch_size=_SMALL, device=None): ...


def sample(temperature=1): ...
