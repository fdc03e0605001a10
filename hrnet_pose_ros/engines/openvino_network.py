# SPDX-License-Identifier: Apache-2.0
"""OpenVINO's network of a heatmap graph: read, cut before its last convolution; its requests; its
threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.graph_ports import Port, Ports, check_heatmap_ports, foreign_graph
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile


class Lane:
    """One stream's requests: run one after the other, the first one takes the crops."""

    def __init__(self, requests: list[Any]) -> None:
        self.requests = requests
        self._taken: np.ndarray | None = None  # the request reads it while it runs

    def start(self, crops: np.ndarray) -> None:
        """Begin with 1 to ``max_batch`` contiguous crops."""
        self._taken = crops
        self.requests[0].start_async([crops], share_inputs=True)

    def finish(self) -> np.ndarray:
        """Wait for the heatmaps; the next `start` overwrites them."""
        self.requests[0].wait()
        values: np.ndarray = self.requests[0].get_output_tensor(0).data
        for request in self.requests[1:]:
            request.infer([values], share_inputs=True)
            values = request.get_output_tensor(0).data
        self._taken = None
        return values


def import_openvino() -> Any:
    """The openvino module, or an EngineError that names what to install."""
    try:
        import openvino
        import openvino.properties.hint
    except ImportError as error:
        raise EngineError(
            f"OpenVINO cannot be imported ({error}): pip install 'hrnet_pose_ros[openvino]'"
        ) from error
    return openvino


def cpu_has_bfloat16() -> bool:
    """Whether OpenVINO computes with bfloat16 on this CPU in hardware."""
    core = import_openvino().Core()
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def cpu_name(core: Any) -> str:
    """The processor's name, as OpenVINO's core gives it."""
    return str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip()


def thread_settings(threads: int) -> dict[Any, Any]:
    """What ``compile_model`` is told of a number of threads: nothing for 0, which takes all cores.

    The threads are not pinned: OpenVINO counts its cores from the first one, so that two processes
    with a part of the cores would share that one.
    """
    if not threads:
        return {}
    properties = import_openvino().properties
    return {
        properties.inference_num_threads: threads,
        properties.hint.enable_cpu_pinning: False,
    }


def read_network(file: ModelFile) -> Any:
    """A heatmap graph as OpenVINO's network, with the inputs and outputs that its metadata says.

    Raises
    ------
    ModelError
        OpenVINO cannot read the file, it was not exported by this package, or it has other inputs
        and outputs than it says.
    EngineError
        OpenVINO is not installed.
    """
    core = import_openvino().Core()
    metadata = None if file.kind == "foreign" else file.heatmaps()
    try:
        network = core.read_model(file.path)
    except RuntimeError as error:
        raise ModelError(
            f"'{file.path}' is damaged or not an ONNX model: export it again"
        ) from error
    ports = Ports(
        tuple(_port(taken, "input") for taken in network.inputs),
        tuple(_port(given, "output") for given in network.outputs),
    )
    try:
        if metadata is None:
            raise foreign_graph(ports)
        check_heatmap_ports(ports, metadata)
    except ModelError as error:
        raise ModelError(f"'{file.path}': {error}") from error
    return network


def without_last_convolution(network: Any, file: ModelFile) -> tuple[Any, Any]:
    """Cut a copy of a network in two: all but its last convolution (with bias), and that one."""
    openvino = import_openvino()
    network = network.clone()
    biased = network.get_results()[0].input_value(0).get_node()
    convolution = biased.input_value(0).get_node()
    if convolution.get_type_name() != "Convolution":
        raise ModelError(f"'{file.path}' does not end in a convolution: use precision float32")
    features = convolution.input_value(0)
    body = openvino.Model([openvino.opset13.result(features)], network.get_parameters())
    entry = openvino.opset13.parameter(features.get_partial_shape(), openvino.Type.f32)
    convolution.input(0).replace_source_output(entry.output(0))
    return body, openvino.Model(network.get_results(), [entry])


def _port(node: Any, unnamed: str) -> Port:
    """OpenVINO's input or output; a side that is not fixed becomes None."""
    sides = node.get_partial_shape()
    return Port(
        name=min(node.get_names(), default=unnamed),
        type=node.get_element_type().to_dtype().name,
        shape=None
        if sides.rank.is_dynamic
        else tuple(None if side.is_dynamic else side.get_length() for side in sides),
    )
