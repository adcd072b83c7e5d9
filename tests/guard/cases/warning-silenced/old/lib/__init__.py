import warnings


def load(path, strict=None):
    if strict is not None:
        warnings.warn("`strict` is deprecated and will be removed in version 2.0. Use `check()`.", FutureWarning)
    return path


class Loader:
    def __init__(self, path, size=None):
        if size is None:
            warnings.warn("No size was given; the file is read to its end.")
        self.path = path
