HOOKS = ("compute_loss",)
