__all__ = ["Padding"]


def Padding(side="left"): ...
