from transformers import Trainer


class SFTTrainer(Trainer):
    def _prepare(self, dataset, packing=False): ...

    def compute_loss(self, model, inputs): ...
