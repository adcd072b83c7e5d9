ALIASES = {"m": "model_path"}
