__all__ = ["kept"]


def kept(value, other=(1,  2)):
    return value
