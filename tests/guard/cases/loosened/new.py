__all__ = ["load"]


def load(path, revision="main") -> str: ...
