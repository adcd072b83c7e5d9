from .training import Command

COMMAND = Command(name="sft", config="Config")
