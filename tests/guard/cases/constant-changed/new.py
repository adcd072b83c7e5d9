__all__ = ["IGNORE", "LAYERS", "__version__"]

__version__ = "1.1"
IGNORE = -1
LAYERS = (
    'a',
    'b',
)
