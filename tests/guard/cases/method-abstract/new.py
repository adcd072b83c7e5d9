from abc import ABC, abstractmethod
from typing import Protocol

__all__ = ["Closing", "Scorer", "Store"]


class Scorer(ABC):
    @abstractmethod
    def score(self, rows): ...

    @abstractmethod
    def close(self): ...

    @property
    @abstractmethod
    def name(self): ...


class Store(Scorer):
    name = "store"

    def score(self, rows): ...

    def close(self): ...


class Closing(Protocol):
    def close(self): ...

    def flush(self): ...
