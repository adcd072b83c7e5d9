HOOKS = ("prepare_dataset", "compute_loss")
