ALIASES = {"model": "model_path"}
