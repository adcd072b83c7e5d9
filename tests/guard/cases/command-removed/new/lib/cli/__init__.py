COMMANDS = ("env",)
