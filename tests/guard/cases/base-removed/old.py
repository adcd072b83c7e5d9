"""`Inner` becomes a base of a base, which nobody can tell; `Mixin` is gone."""

from elsewhere.collators import Mixin
from transformers import Trainer

__all__ = ["Collator", "Deep", "Inner"]


class Inner: ...


class Collator(Mixin):
    def collate(self, rows): ...


class Deep(Trainer, Inner): ...
