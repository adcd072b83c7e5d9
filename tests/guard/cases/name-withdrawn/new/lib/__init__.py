__all__ = ["pack"]


def pack(rows): ...


def pad(rows): ...
