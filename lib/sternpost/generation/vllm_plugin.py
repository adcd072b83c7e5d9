"""What vLLM loads from this package, by the entry point `vllm.general_plugins`: a way to receive weights.

vllm serve ... --weight-transfer-config '{"backend": "sternpost"}'
"""

from contextlib import suppress

NAME = "sternpost"
"""Of this way, in the server's `--weight-transfer-config`."""


def register() -> None:
    """Make `sternpost` known to this vLLM process. The engine itself is imported when one is made.

    vLLM calls this in each of its processes, sometimes twice, also in those that have nothing to do with training.
    """
    try:
        from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
    except ImportError:  # vLLM is too old for it, and says so when it is asked for
        return
    with suppress(ValueError):  # it is known already
        WeightTransferEngineFactory.register_engine(NAME, "sternpost.generation.vllm_receiver", "WeightReceiver")
