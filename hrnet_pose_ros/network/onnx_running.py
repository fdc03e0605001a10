# SPDX-License-Identifier: Apache-2.0
"""Running an end-to-end graph's file on the CPU by ONNX Runtime, for checks and for calibration."""

from __future__ import annotations

from typing import Any

# Inputs and outputs of an end-to-end graph's file, in order.
INPUTS = ("image", "crop_to_image")
OUTPUTS = ("keypoints", "scores", "covariances")


def onnx_session(model: bytes | str) -> Any:
    """A session on the CPU, from a model's bytes or path.

    Raises ImportError where ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"checking end-to-end graphs needs ONNX Runtime ({error}): pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: it warns of unused initializers
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
