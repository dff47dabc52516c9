"""Whether an error says that a GPU has failed in the middle of its work. Without torch at import.

After such an error nothing more can be computed on that GPU in the process that met it, and what it holds cannot be trusted.
"""

from __future__ import annotations

from ..tasks import OwnTaskError
from ..tasks.own.errors import DEVICE_ASSERT
from .out_of_memory import NO_HANDLE, causes, is_out_of_memory

MAKERS = ("cuda error", "cuda driver error", "hip error", "triton error", "cublas_status", "cudnn_status", "cusolver_status",
          "cusparse_status", "curand_status")
# As the CUDA runtime words them [CUDA Runtime API manual, cudaError_t]; ROCm's are worded alike. The libraries' come of them.
FAULTS = (
    "illegal memory access", "illegal instruction", "misaligned address", "invalid program counter", "hardware stack error",
    DEVICE_ASSERT, "invalid access of peer gpu memory", "operation not supported on global/shared address space",
    "unspecified launch failure", "launch timed out", "context is destroyed", "driver shutting down",
    "uncorrectable ecc", "uncorrectable nvlink", "device lost", "gpu is lost", "unknown error",
    "status_execution_failed", "status_mapping_error", "status_internal_error", NO_HANDLE,
)


def is_gpu_fault(error: BaseException) -> bool:
    """True where a GPU, or its driver, has failed; torch says so in the text of a RuntimeError.

    False where a kernel's check failed in a user's own task: another GPU would refuse what it gives, too.
    """
    texts = [str(cause).lower() for cause in causes(error)]
    if is_out_of_memory(error) or (isinstance(error, OwnTaskError) and any(DEVICE_ASSERT in text for text in texts)):
        return False
    return any(any(maker in text for maker in MAKERS) and any(words in text for words in FAULTS) for text in texts)
