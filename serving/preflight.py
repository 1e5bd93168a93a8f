"""May this runtime run this file? Told from what the file asks for, before the runtime sees it."""

from __future__ import annotations

from typing import List, Optional, Tuple

from serving.model_card import Requirements

# The newest opset of each ONNX Runtime release: https://onnxruntime.ai/docs/reference/compatibility.html
NEWEST_OPSET = {
    (1, 7): 13,
    (1, 8): 14,
    (1, 9): 15,
    (1, 11): 16,
    (1, 12): 17,
    (1, 14): 18,
    (1, 15): 19,
    (1, 17): 20,
    (1, 18): 21,
    (1, 21): 22,
    (1, 23): 23,
}
OLDEST_OPSET = 7
MICRO_LACKS = {"SCATTER_ND"}  # with which the multi-hot row of ids is made


def refusals(requirements: Requirements, runtime: str, version: Optional[str]) -> List[str]:
    """Why `runtime` of `version` cannot run the file, each reason with its cure; empty where nothing speaks against it."""
    here, needed = numbers(version), requirements.minimum_runtime_version
    reasons = []
    if runtime == "tflite_micro" and requirements.weights != "int8 activations":
        reasons.append(
            f"TensorFlow Lite Micro does not run files with {requirements.weights}: export tflite_int8"
        )
    lacking = sorted(MICRO_LACKS & {operator.split()[0] for operator in requirements.operators})
    if runtime == "tflite_micro" and lacking:
        reasons.append(
            f"TensorFlow Lite Micro has no {', '.join(lacking)}: take it out of verify.runtimes"
        )
    if runtime == "onnxruntime" and needed and needed.startswith("opset "):
        opset, newest = int(needed.split()[1]), newest_opset(here)
        if not OLDEST_OPSET <= opset <= newest:
            reasons.append(
                f"the file has opset {opset}, onnxruntime {version} reads {OLDEST_OPSET} to {newest}: install a newer one"
            )
    if runtime == "tflite_runtime" and here and numbers(needed) > here:
        reasons.append(
            f"the file needs runtime {needed}, here is {version} (operators {', '.join(requirements.operators)}): "
            "use LiteRT, or export without per-channel dense layers"
        )
    return reasons


def newest_opset(version: Tuple[int, ...]) -> int:
    """The newest ONNX opset that an ONNX Runtime of `version` reads; of an unknown version, the oldest of the table."""
    return max(
        [opset for since, opset in NEWEST_OPSET.items() if since <= version],
        default=min(NEWEST_OPSET.values()),
    )


def numbers(version: Optional[str]) -> Tuple[int, ...]:
    """(2, 14, 0) of "2.14.0"; empty where `version` is none of that kind."""
    if not version or not version[0].isdigit():
        return ()
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
