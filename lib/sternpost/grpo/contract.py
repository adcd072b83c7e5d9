"""What the GRPO room promises, as data: used by the code, frozen in `api_snapshots/`, tested in `contract_tests/`.

Changing a value here is a change of the contract: the guard compares this file with the last release.
"""

from typing import Literal

LossType = Literal["grpo", "dapo", "bnpo", "dr_grpo", "luspo", "cispo", "sapo", "vespo"]
ImportanceSamplingLevel = Literal["token", "sequence"]
ScaleRewards = Literal["group", "batch", "none"]
MultiObjectiveAggregation = Literal["sum_then_normalize", "normalize_then_sum"]
CorrectionMode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
