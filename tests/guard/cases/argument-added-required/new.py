__all__ = ["load"]


def load(path, device, revision="main"): ...
