from transformers import Trainer


class SFTTrainer(Trainer):
    def compute_loss(self, model, inputs): ...
