"""How fast this machine multiplies matrices: float32 by either library that torch brings, and bfloat16.

torch multiplies float32 matrices by MKL, which is slow on processors of other makers. oneDNN is used instead if it may
round to bfloat16; where the processor has no matrix units it does not round, which is checked here. Both libraries are
then measured with the faster one in float32.
"""

import json
import time

import torch

M, K, N = 512, 512, 4096


def gflops(dtype: torch.dtype) -> float:
    """Billions of operations per second of the best of some products."""
    a, b = torch.randn(M, K, dtype=dtype), torch.randn(N, K, dtype=dtype)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        torch.nn.functional.linear(a, b)
        times.append(time.perf_counter() - start)
    return 2 * M * K * N / min(times) / 1e9


def is_exact() -> bool:
    """Whether float32 products keep bits that bfloat16 has not."""
    a = torch.full((M, K), 1 + 2**-12)
    return torch.equal(a @ torch.eye(K), a)


def main() -> None:
    torch.manual_seed(0)
    found = {"mkl_float32": gflops(torch.float32), "bfloat16": gflops(torch.bfloat16)}
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    found |= {"onednn_float32": gflops(torch.float32)}
    best = is_exact() and found["onednn_float32"] > 1.1 * found["mkl_float32"]
    rounded = {name: round(value) for name, value in found.items()}
    print("MEASURED " + json.dumps(rounded | {"onednn_is_exact": is_exact(), "onednn_is_best": best}))


if __name__ == "__main__":
    main()
