__all__ = ["pack", "pad"]


def pack(rows): ...


def pad(rows): ...
