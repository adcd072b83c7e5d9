COMMANDS = ("sft", "env")
