"""Options of methods that generate: those that nothing reads are refused, and values that cannot be are named."""

import re

import pytest

from sternpost import GRPOConfig, RLOOConfig

CONFIGS = pytest.mark.parametrize("config", [GRPOConfig, RLOOConfig])
SERVER = {"use_vllm": True, "vllm_mode": "server"}
COLOCATE = {"use_vllm": True}


@CONFIGS
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (COLOCATE | {"vllm_server_base_url": "http://a:1"}, "`vllm_server_base_url='http://a:1'` is read only with a"),
        (COLOCATE | {"vllm_server_base_url": "a"}, 'Set `use_vllm=True` and `vllm_mode="server"`, or leave it out.'),
        ({"vllm_server_base_url": "http://a:1"}, "`vllm_server_base_url='http://a:1'` is read only"),
        ({"vllm_server_host": "a"}, "`vllm_server_host='a'` is read only"),
        (COLOCATE | {"vllm_server_port": 1}, "`vllm_server_port=1` is read only"),
        (COLOCATE | {"vllm_server_timeout": 1.0}, "`vllm_server_timeout=1.0` is read only"),
        (COLOCATE | {"vllm_group_port": 1}, "`vllm_group_port=1` is read only"),
        ({"vllm_mode": "server"}, "`vllm_mode='server'` is read only with vLLM. Set `use_vllm=True`"),
        ({"vllm_structured_outputs_regex": "a"}, "`vllm_structured_outputs_regex='a'` is read only with vLLM"),
        (SERVER | {"vllm_gpu_memory_utilization": 0.5}, "`vllm_gpu_memory_utilization=0.5` is read only by vLLM in"),
        (SERVER | {"vllm_max_model_length": 9}, "`vllm_max_model_length=9` is read only"),
        (SERVER | {"vllm_enable_sleep_mode": True}, "`vllm_enable_sleep_mode=True` is read only"),
        (SERVER | {"vllm_tensor_parallel_size": 2}, "`vllm_tensor_parallel_size=2` is read only"),
        (SERVER | {"vllm_model_impl": "transformers"}, "`vllm_model_impl='transformers'` is read only"),
        ({"num_completions_to_print": 3}, "`num_completions_to_print=3` is read only where completions are shown. Set"),
        ({"log_unique_prompts": True}, "`log_unique_prompts=True` is read only"),
        ({"ref_model_sync_steps": 3}, "is read only where the reference follows the policy. Set `sync_ref_model=True`"),
        ({"ref_model_mixup_alpha": 0.5}, "`ref_model_mixup_alpha=0.5` is read only"),
    ],
)  # fmt: skip
def test_options_that_nothing_reads(tmp_path, config, options, message):
    """They are named, with what reads them."""
    with pytest.raises(ValueError, match=re.escape(message)):
        config(output_dir=str(tmp_path), **options)


@CONFIGS
@pytest.mark.parametrize(
    "options",
    [
        SERVER | {"vllm_server_base_url": "http://a:1", "vllm_server_timeout": 1.0, "vllm_group_port": 1},
        COLOCATE | {"vllm_gpu_memory_utilization": 0.5, "vllm_enable_sleep_mode": True, "vllm_max_model_length": 9},
        {"vllm_gpu_memory_utilization": 0.5, "vllm_tensor_parallel_size": 2, "vllm_server_timeout": 1.0},
        {"beta": 0.1, "sync_ref_model": True, "ref_model_sync_steps": 3},
        {"log_completions": True, "num_completions_to_print": 3, "log_unique_prompts": True},
    ],
)
def test_options_that_are_read_or_only_tune(tmp_path, config, options):
    """What tunes vLLM may stay in a file while `use_vllm` is off."""
    made = config(output_dir=str(tmp_path), use_cpu=True, **options)
    assert {name: getattr(made, name) for name in options} == options


@CONFIGS
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generation_kwargs": {"stop_token_ids": 7}}, "`stop_token_ids=7`, which is no list of ids. Give"),
        ({"generation_kwargs": {"stop_token_ids": ["a"]}}, "`stop_token_ids=['a']`, which is no list of ids. Give"),
        ({"accelerator_config": {"dispatch_batches": True}}, "`dispatch_batches=True` would send batches"),
        ({"accelerator_config": {"split_batches": True}}, "`split_batches=True` would take groups apart"),
        ({"include_for_metrics": ["inputs"]}, "`include_for_metrics=['inputs']` is for `compute_metrics`"),
        ({"epsilon_high": float("nan")}, "`epsilon_high=nan` must not be negative"),
    ],
)
def test_values_that_cannot_be(tmp_path, config, options, message):
    """Each is refused when the config is made."""
    with pytest.raises(ValueError, match=re.escape(message)):
        config(output_dir=str(tmp_path), **options)


@CONFIGS
def test_tokens_that_end_a_completion(tmp_path, config):
    """As a list, also of none."""
    for tokens in ([7, 8], [], None):
        made = config(output_dir=str(tmp_path), generation_kwargs={"stop_token_ids": tokens})
        assert made.generation_kwargs == {"stop_token_ids": tokens}
