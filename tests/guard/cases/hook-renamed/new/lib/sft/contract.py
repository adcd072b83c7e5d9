HOOKS = ("prepare_rows", "compute_loss")
