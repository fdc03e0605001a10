# SPDX-License-Identifier: Apache-2.0
"""The network on a CPU by OpenVINO: the engine of machines without a GPU."""

from __future__ import annotations

import gc
import logging
import resource
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hrnet_pose_ros.engines.batch_layout import (
    BatchLayout,
    batch_sizes,
    best,
    candidates,
    largest_batch,
    measure,
)
from hrnet_pose_ros.engines.engine import EngineError, EngineInfo, check_frame_and_boxes
from hrnet_pose_ros.engines.heatmap_engine import DEFAULT_MAX_BATCH, HeatmapEngine
from hrnet_pose_ros.engines.openvino_network import (
    Lane,
    cpu_has_bfloat16,
    cpu_name,
    import_openvino,
    read_network,
    thread_settings,
    without_last_convolution,
)
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.pose.decoding import Method
from hrnet_pose_ros.pose.poses import Poses

Precision = Literal["float32", "bfloat16", "int8"]

# Of the measurement of streams: at most so many turns, and no other one after so many seconds.
_TURNS, _BUDGET = 3, 0.6

_log = logging.getLogger(__name__)


class OpenVinoEngine(HeatmapEngine):
    """Runs an ONNX file of `hrnet_pose export` on the CPU.

    The persons run in one stream that has all threads, or in several beside one another, which is
    often faster from two persons on (`BatchLayout`). Several streams are a second copy of the
    network in memory. Their crops and their decoding hide behind the network: while one batch runs,
    the next is cut out, and the one before is decoded.

    One network compiled for any number of crops: a network compiled for each number is 2 to 5 %
    faster, one of fixed size wastes up to its whole batch. A number of crops met for the first
    time costs about a third more, once: see `warm_up`.

    In bfloat16 the last convolution still computes in float32: written as bfloat16 (8 bits), a
    peak and its neighbour are often equal, and the key point moves by half a cell.

    int8 is a property of the file (`hrnet_pose quantize`): what it does not quantise is float32.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        precision: Precision,
        decoding: Method = "quarter",
        flip_test: bool = False,
        max_batch: int = DEFAULT_MAX_BATCH,
        threads: int = 0,
        streams: int = 1,
        network: Any = None,
    ) -> None:
        """Compile a model.

        Parameters
        ----------
        file
            The ONNX file of a heatmap graph.
        precision
            What the network computes with. Always set explicitly: OpenVINO's own default is
            bfloat16 on some CPUs.
        decoding
            How key points are read from heatmaps.
        flip_test
            Whether every crop is also run mirrored.
        max_batch
            Most crops the network sees at a time.
        threads
            CPU threads; 0 takes all cores.
        streams
            Batches that run beside one another; 0 measures in `warm_up` which number is fastest,
            but for a ``max_batch`` of 1, which asks for little memory: then it is one.
        network
            What `read_network` gave for the file, for callers who compile it more than once; None
            reads it.

        Raises
        ------
        ModelError
            The file is not a heatmap graph exported by this package, or OpenVINO cannot read it;
            or it is quantised and the precision is not int8, or the other way round.
        EngineError
            OpenVINO is not installed, or the CPU lacks the precision.
        """
        openvino = import_openvino()
        core = openvino.Core()
        if network is None:
            network = read_network(file)
        metadata = file.heatmaps()
        if metadata.quantized != (precision == "int8"):
            held = "computes in 8 bits" if metadata.quantized else "is not quantised"
            raise ModelError(f"'{file.path}' {held} and cannot run with precision {precision}")
        if precision == "bfloat16" and not cpu_has_bfloat16():
            raise EngineError(
                f"this CPU ({cpu_name(core)}) has no bfloat16; use precision float32 or auto"
            )
        self._core, self._threads = core, threads
        # What is compiled, in the order of running, and with which type.
        self._stages = [(network, openvino.Type.f32)]
        if precision == "bfloat16":
            body, last = without_last_convolution(network, file)
            self._stages = [(body, openvino.Type.bf16), (last, openvino.Type.f32)]
        # OpenVINO's own objects, public for measurements; empty once the engine is closed.
        self.requests: list[Any] = self._lanes_of(1)[0].requests
        self._lanes: list[Lane] = []  # of several streams, where there are
        self.layout = BatchLayout(max(streams, 1), max_batch)
        self._measures = streams == 0 and max_batch > 1
        if streams > 1:
            self._lanes = self._lanes_of(streams)
        self._met_by_lanes: set[int] = set()
        super().__init__(
            metadata=metadata,
            decoding=decoding,
            max_batch=max_batch,
            info=EngineInfo(
                model=metadata.name,
                engine="openvino",
                device=cpu_name(core),
                precision=precision,
                decoding=decoding,
                checksum=file.checksum,
                input_width=metadata.input_width,
                input_height=metadata.input_height,
                flip_test=flip_test,
            ),
        )

    def _lanes_of(self, streams: int) -> list[Lane]:
        """Compile the network for a number of streams."""
        openvino = import_openvino()
        properties, hint = openvino.properties, openvino.properties.hint
        settings: dict[Any, Any] = {hint.num_requests: streams}
        if streams == 1:
            settings[hint.performance_mode] = hint.PerformanceMode.LATENCY
        else:
            settings[hint.performance_mode] = hint.PerformanceMode.THROUGHPUT
            settings[properties.num_streams] = streams
            settings[properties.inference_num_threads] = self.threads
        settings |= thread_settings(self._threads)
        compiled = [
            self._core.compile_model(
                network, "CPU", settings | {hint.inference_precision: precision}
            )
            for network, precision in self._stages
        ]
        return [Lane([one.create_infer_request() for one in compiled]) for _ in range(streams)]

    @property
    def threads(self) -> int:
        """Number of threads that one stream has."""
        model = self.requests[0].get_compiled_model()
        return int(model.get_property("INFERENCE_NUM_THREADS"))

    def raw_poses(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        if self.info.flip_test or self._streams_for(len(boxes)) == 1:
            return super().raw_poses(frame, boxes)
        check_frame_and_boxes(frame, boxes)
        self._check_open()
        size = self.metadata.input_size
        transforms = crop_to_image(boxes, size, self.metadata.crop)
        parts: list[Poses] = []
        waiting: list[tuple[Lane, slice]] = []

        def finish_one() -> None:
            lane, which = waiting.pop(0)
            parts.append(self.decode(lane.finish(), transforms[which]))

        for lane, which in self._turns(len(boxes)):
            # Cut out before a lane is waited for: the other ones are busy meanwhile.
            crops = warp_crops(frame, transforms[which], size)
            if len(waiting) == len(self._lanes):
                finish_one()
            lane.start(crops)
            waiting.append((lane, which))
        while waiting:
            finish_one()
        return Poses.concatenate(parts)

    def _streams_for(self, count: int) -> int:
        return self.layout.streams_for(count) if self._lanes else 1

    def _turns(self, count: int) -> list[tuple[Lane, slice]]:
        """Which lane runs which crops, in the order of their start."""
        turns, start = [], 0
        for place, size in enumerate(batch_sizes(count, len(self._lanes), self._max_batch)):
            turns.append((self._lanes[place % len(self._lanes)], slice(start, start + size)))
            start += size
        return turns

    def _in_batches(self, crops: np.ndarray) -> np.ndarray:
        if self._streams_for(len(crops)) == 1:
            return super()._in_batches(crops)
        cells_x, cells_y = self.metadata.heatmap_size
        heatmaps = np.empty(
            (len(crops), self.metadata.skeleton.joints, cells_y, cells_x), np.float32
        )
        waiting: list[tuple[Lane, slice]] = []

        def finish_one() -> None:
            lane, which = waiting.pop(0)
            heatmaps[which] = lane.finish()

        for lane, which in self._turns(len(crops)):
            if len(waiting) == len(self._lanes):
                finish_one()
            lane.start(crops[which])
            waiting.append((lane, which))
        while waiting:
            finish_one()
        return heatmaps

    def _batch_sizes(self, count: int) -> list[int]:
        return batch_sizes(count, 1, self._max_batch) if count else []

    def warm_up(self) -> None:
        """As `HeatmapEngine.warm_up`, in every stream; before, measure how many are fastest.

        Only what is going to run is warmed up: where several streams take three persons, one stream
        is not tried with three.
        """
        if self._measures:
            self._measures = False
            self._measure()
        if not self._lanes:
            super().warm_up()
            return
        most = self._max_batch
        alone: set[int] = set()
        for count in range(1, 8 * most + 1):  # beyond, batches are nearly full
            if self._streams_for(count) == 1:
                alone |= {*batch_sizes(count, 1, most)}
        width, height = self.metadata.input_size
        for size in sorted(alone - self._met, reverse=True):
            super()._in_batches(np.zeros((size, height, width, 3), np.uint8))
        for size in range(largest_batch(len(self._lanes), most), 0, -1):
            if size not in self._met_by_lanes:
                self._at_once(self._lanes, size)
                self._met_by_lanes.add(size)

    def _at_once(self, lanes: list[Lane], size: int) -> float:
        """Seconds of a batch of that size in each lane."""
        width, height = self.metadata.input_size
        crops = np.zeros((size, height, width, 3), np.uint8)
        began = time.perf_counter()
        for lane in lanes:
            lane.start(crops)
        for lane in lanes:
            lane.finish()
        return time.perf_counter() - began

    def _measure(self) -> None:
        """Choose the number of streams, a few of them in turns; those not taken are freed."""
        began, before = time.monotonic(), resident_bytes()
        lanes = {1: [Lane(self.requests)]}
        lanes |= {streams: self._lanes_of(streams) for streams in candidates(self.threads)}
        if len(lanes) == 1:
            return
        run = {n: lambda size, of=of: self._at_once(of, size) for n, of in lanes.items()}
        measure(run, self._max_batch, turns=1, budget=0.0)  # the first time of each size is slower
        measured = measure(run, self._max_batch, _TURNS, _BUDGET)
        self._met |= {*measured[1].by_size}
        self.layout = best(measured, self._max_batch)
        if self.layout.streams > 1:
            self._lanes = lanes[self.layout.streams]
            self._met_by_lanes |= {*measured[self.layout.streams].by_size}
        del run, lanes
        gc.collect()
        _log.info(
            "%s, chosen in %.1f s, %.0f MB more memory (%s)",
            self.layout,
            time.monotonic() - began,
            max(0, resident_bytes() - before) / 1e6,
            "; ".join(str(one) for one in measured.values()),
        )

    def _run(self, crops: np.ndarray) -> np.ndarray:
        values = crops
        for request in self.requests:
            request.infer([values], share_inputs=True)
            values = request.get_output_tensor(0).data
        return values

    def close(self) -> None:
        super().close()
        self.requests, self._lanes, self._stages = [], [], []  # they hold the network alive


def resident_bytes() -> int:
    """Memory of this process that lies in RAM; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()
