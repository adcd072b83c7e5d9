__all__ = ["load"]


def load(path, revision) -> str: ...
