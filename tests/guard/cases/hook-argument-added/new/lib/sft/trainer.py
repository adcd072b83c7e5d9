from transformers import Trainer


class SFTTrainer(Trainer):
    def _prepare(self, dataset, packing=False, *, name=None): ...

    def compute_loss(self, model, inputs): ...
