# SPDX-License-Identifier: Apache-2.0
"""The contenders on the CPU: engines of this package and common alternatives with its weights."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.engines.heatmap_engine import HeatmapEngine
from hrnet_pose_ros.model_files.model_file import ModelFile

STEPS = ("crops", "network", "decoding")


@dataclass(frozen=True)
class Contender:
    """One way to compute poses from an image and boxes.

    Attributes
    ----------
    name
        Library and precision, as shown in the table.
    engine
        Runs the network.
    one_by_one
        Process one crop at a time, each decoded before the next; otherwise all persons of an image
        together.
    """

    name: str
    engine: HeatmapEngine
    one_by_one: bool = False

    def estimate(self, frame: np.ndarray, boxes: np.ndarray) -> None:
        """Estimate the poses of all persons, as a caller would."""
        for some in self._calls(boxes):
            self.engine.estimate(frame, some)

    def steps(self, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Duration in milliseconds of each of the `STEPS`, over all persons."""
        taken = np.zeros(len(STEPS))
        for some in self._calls(boxes):
            times = [time.perf_counter()]
            crops, transforms = self.engine.crops(frame, some)
            times.append(time.perf_counter())
            heatmaps = self.engine.heatmaps(crops)
            times.append(time.perf_counter())
            self.engine.decode(heatmaps, transforms)
            times.append(time.perf_counter())
            taken += 1e3 * np.diff(times)
        return taken

    def _calls(self, boxes: np.ndarray) -> list[np.ndarray]:
        return [boxes[n : n + 1] for n in range(len(boxes))] if self.one_by_one else [boxes]


class OnnxRuntimeEngine(HeatmapEngine):
    """Runs an ONNX file from `hrnet_pose export` with ONNX Runtime in float32 with defaults."""

    def __init__(self, file: ModelFile) -> None:
        """Raises ImportError if ONNX Runtime is not installed; ModelError for another graph."""
        import onnxruntime

        metadata = file.heatmaps()
        path = str(file.path)
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        super().__init__(
            metadata=metadata,
            decoding="quarter",
            max_batch=1,
            info=EngineInfo(
                model=metadata.name,
                engine="onnxruntime",
                device="CPU",
                precision="float32",
                decoding="quarter",
                checksum=file.checksum,
                input_width=metadata.input_width,
                input_height=metadata.input_height,
            ),
        )

    def _run(self, crops: np.ndarray) -> np.ndarray:
        heatmaps: np.ndarray = self._session.run(None, {"crops": crops})[0]
        return heatmaps
