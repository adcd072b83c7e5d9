__all__ = ["pack", "trim"]


def pack(rows, length, strategy="bfd", *, drop_last=False, **extra): ...


def trim(rows, *, length): ...
