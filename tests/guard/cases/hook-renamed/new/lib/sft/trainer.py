from transformers import Trainer


class SFTTrainer(Trainer):
    def prepare_rows(self, dataset, packing=False): ...

    def compute_loss(self, model, inputs): ...
