"""Can this runtime run this file? Decided from its requirements, before the runtime opens it."""

from __future__ import annotations

from typing import List, Optional, Tuple

from serving.model_file import Requirements

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
MICRO_LACKS = {"SCATTER_ND"}  # which makes the multi-hot row of ids


def refusals(requirements: Requirements, runtime: str, version: Optional[str]) -> List[str]:
    """Why `runtime` `version` cannot run the file, each reason with its cure; empty if it can."""
    installed, needed = numbers(version), requirements.minimum_runtime_version
    reasons = []
    if runtime == "tflite_micro" and requirements.weights != "int8 activations":
        reasons.append(
            f"TensorFlow Lite Micro cannot run {requirements.weights}: export tflite_int8"
        )
    lacking = sorted(MICRO_LACKS & {operator.split()[0] for operator in requirements.operators})
    if runtime == "tflite_micro" and lacking:
        reasons.append(
            f"TensorFlow Lite Micro has no {', '.join(lacking)}: remove it from verify.runtimes"
        )
    if runtime == "onnxruntime" and needed and needed.startswith("opset "):
        opset, newest = int(needed.split()[1]), newest_opset(installed)
        if not OLDEST_OPSET <= opset <= newest:
            reasons.append(
                f"the file has opset {opset}, onnxruntime {version} reads {OLDEST_OPSET} to "
                f"{newest}: install a newer one"
            )
    if runtime == "tflite_runtime" and installed and numbers(needed) > installed:
        reasons.append(
            f"the file needs runtime {needed}, {version} is installed (operators "
            f"{', '.join(requirements.operators)}): "
            "use LiteRT, or export without per-channel dense layers"
        )
    return reasons


def newest_opset(version: Tuple[int, ...]) -> int:
    """The newest opset that ONNX Runtime `version` reads; for unknown versions the oldest one."""
    opsets = [opset for since, opset in NEWEST_OPSET.items() if since <= version]
    return max(opsets, default=min(NEWEST_OPSET.values()))


def numbers(version: Optional[str]) -> Tuple[int, ...]:
    """(2, 14, 0) for "2.14.0"; empty if `version` does not begin with a digit."""
    if not version or not version[0].isdigit():
        return ()
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
