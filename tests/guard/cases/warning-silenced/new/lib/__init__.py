import logging

logger = logging.getLogger(__name__)


def load(path, strict=None):
    if strict is not None:
        logger.warning("`strict` is deprecated and will be removed in version 2.0. Use `check()`.")
    return path


class Loader:
    def __init__(self, path, size=None):
        if size is None:
            logger.warning("No size was given; the file is read to its end.")
        self.path = path
