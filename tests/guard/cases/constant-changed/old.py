__all__ = ["IGNORE", "LAYERS", "__version__"]

__version__ = "1.0"
IGNORE = -100
LAYERS = ("a", "b")
