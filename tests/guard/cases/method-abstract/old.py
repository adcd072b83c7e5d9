from abc import ABC, abstractmethod
from typing import Protocol

__all__ = ["Closing", "Scorer", "Store"]


class Scorer(ABC):
    @abstractmethod
    def score(self, rows): ...

    def close(self): ...


class Store(Scorer):
    def score(self, rows): ...


class Closing(Protocol):
    def close(self): ...
