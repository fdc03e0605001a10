# SPDX-License-Identifier: Apache-2.0
"""The network on a CPU by OpenVINO: the engine of machines without a GPU."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError, EngineInfo
from hrnet_pose_ros.engines.graph_ports import Port, Ports, check_heatmap_ports, foreign_graph
from hrnet_pose_ros.engines.heatmap_engine import DEFAULT_MAX_BATCH, HeatmapEngine
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.decoding import Method

Precision = Literal["float32", "bfloat16", "int8"]


class OpenVinoEngine(HeatmapEngine):
    """Runs an ONNX file of `hrnet_pose export` on the CPU.

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
        hint = openvino.properties.hint
        core = openvino.Core()
        if network is None:
            network = read_network(file)
        metadata = file.heatmaps()
        if metadata.quantized != (precision == "int8"):
            held = "computes in 8 bits" if metadata.quantized else "is not quantised"
            raise ModelError(f"'{file.path}' {held} and cannot run with precision {precision}")
        if precision == "bfloat16" and not cpu_has_bfloat16():
            raise EngineError(
                f"this CPU ({_cpu_name(core)}) has no bfloat16; use precision float32 or auto"
            )
        settings: dict[Any, Any] = {
            hint.inference_precision: openvino.Type.f32,
            hint.performance_mode: hint.PerformanceMode.LATENCY,
            hint.num_requests: 1,
        }
        if threads:
            settings[openvino.properties.inference_num_threads] = threads
        # OpenVINO's own objects, public for measurements; empty once the engine is closed.
        self.requests: list[Any] = []  # run one after the other, the first one takes the crops
        if precision == "bfloat16":
            body, network = _without_last_convolution(network, file)
            short = settings | {hint.inference_precision: openvino.Type.bf16}
            self.requests.append(core.compile_model(body, "CPU", short).create_infer_request())
        self.requests.append(core.compile_model(network, "CPU", settings).create_infer_request())
        super().__init__(
            metadata=metadata,
            decoding=decoding,
            max_batch=max_batch,
            info=EngineInfo(
                model=metadata.name,
                engine="openvino",
                device=_cpu_name(core),
                precision=precision,
                decoding=decoding,
                checksum=file.checksum,
                input_width=metadata.input_width,
                input_height=metadata.input_height,
                flip_test=flip_test,
            ),
        )

    def _run(self, crops: np.ndarray) -> np.ndarray:
        values = crops
        for request in self.requests:
            request.infer([values], share_inputs=True)
            values = request.get_output_tensor(0).data
        return values

    def close(self) -> None:
        super().close()
        self.requests = []  # they hold the compiled network alive


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


def _cpu_name(core: Any) -> str:
    return str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip()


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


def _without_last_convolution(network: Any, file: ModelFile) -> tuple[Any, Any]:
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
