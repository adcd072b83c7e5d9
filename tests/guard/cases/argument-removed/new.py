__all__ = ["pack", "trim"]


def pack(rows, length, *, drop_last=False, **extra): ...


def trim(rows, *, length, **_): ...
