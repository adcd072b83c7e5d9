"""Longshore: one YAML file, one trained model."""

from importlib.metadata import version

__version__ = "1.0.0"
TRAINS_WITH = version("sternpost")
