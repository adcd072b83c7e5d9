import logging

logger = logging.getLogger(__name__)


def load(path, strict=None):
    if strict is not None:
        logger.warning("`strict` is deprecated and will be removed in version 2.0. Use `check()`.")
    return path
