HOOKS = ("_prepare", "compute_loss")
