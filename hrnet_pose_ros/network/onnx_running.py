# SPDX-License-Identifier: Apache-2.0
"""Running an end-to-end graph's file on the CPU by ONNX Runtime, for checks and for calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

# Inputs and outputs of an end-to-end graph's file, in order.
INPUTS = ("image", "crop_to_image", "channels")
OUTPUTS = ("keypoints", "scores", "covariances")


def graph_inputs(
    image: np.ndarray, crop_to_image: np.ndarray, channels: tuple[int, int, int] = (0, 1, 2)
) -> dict[str, np.ndarray]:
    """What a session takes for an image uint8 ``[H, W, 3]`` and transforms ``[N, 2, 3]``;
    ``channels``: the places of red, green and blue in the image."""
    values = (image, crop_to_image.astype(np.float32), np.array(channels, np.int32))
    return dict(zip(INPUTS, values, strict=True))


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
