# SPDX-License-Identifier: Apache-2.0
"""A graph with 8-bit convolutions whose other layers compute in float16, for TensorRT.

In 8 bits a convolution saves time only if it also writes 8 bits: TensorRT fuses a convolution, the
addition of the block's input and the ReLU with the QuantizeLinear behind them, where every operand
of the addition is either a convolution or comes from a DequantizeLinear. What cannot be fused then
moves half of float32's bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

# QuantizeLinear and DequantizeLinear in float16 are of this opset. GridSample and Resize compute as
# before in it: GridSample changes in opset 20, with which TensorRT 10.13 computes wrong numbers.
OPSET = 19
# A scale of float16 that is still above zero.
_LEAST_SCALE = np.float16(6e-8)
_NETWORK = {"Conv", "Relu", "Add", "Resize", "QuantizeLinear", "DequantizeLinear", "Constant"}


@dataclass(frozen=True)
class FusedBlocks:
    """How the network's 8-bit convolutions end.

    Attributes
    ----------
    fused
        Convolutions whose result, after an addition and a ReLU where there are such, is read by
        QuantizeLinear alone: one kernel, 8 bits in and 8 bits out.
    others
        Names of those whose result is also needed in float16.
    """

    fused: tuple[str, ...]
    others: tuple[str, ...]


def set_float16_base(model: Any) -> None:
    """Turn the network of an ``onnx.ModelProto`` with Q/DQ pairs in float32 to float16, in place.

    From the input of the first convolution to the input of the last one, which stays float32: it
    writes the heatmaps. Crops and decoding stay as they are.
    """
    import onnx

    graph = model.graph
    nodes = list(graph.node)
    places = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    last = nodes[places[-1]]
    inside = _between(nodes, places)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: index for index, node in enumerate(nodes) for output in node.output}

    for index in inside:
        node = nodes[index]
        # The second input of Q and DQ is the scale, the first of a Q may be a weight; the third of
        # a convolution is its bias.
        floats = {
            "Conv": node.input[1:],
            "QuantizeLinear": node.input[:2],
            "DequantizeLinear": node.input[1:2],
        }.get(node.op_type, [])
        for name in floats:
            tensor = weights.get(name)
            if tensor is not None and tensor.data_type == onnx.TensorProto.FLOAT:
                values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
                if name != node.input[0] and node.op_type != "Conv":
                    values = np.maximum(values, _LEAST_SCALE)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
    # Casts where tensors enter the float16 part, and before the last convolution.
    entering = {
        name
        for index in inside
        for place, name in enumerate(nodes[index].input)
        if name
        and name not in weights
        and makers.get(name) not in inside
        and not (nodes[index].op_type == "Resize" and place > 0)
        and nodes[index].op_type in ("Conv", "Relu", "Add", "Resize", "QuantizeLinear")
    }
    added = []
    for name in sorted(entering):
        added.append((name, f"{name}_float16", onnx.TensorProto.FLOAT16))
        for index in inside:
            _replace_input(nodes[index], name, f"{name}_float16")
    features = last.input[0]
    added.append((features, f"{features}_float32", onnx.TensorProto.FLOAT))
    _replace_input(last, features, f"{features}_float32")
    for name, cast, kind in added:
        node = onnx.helper.make_node("Cast", [name], [cast], name=f"{cast}/Cast", to=kind)
        made = next((i for i, one in enumerate(graph.node) if name in one.output), -1)
        graph.node.insert(made + 1, node)
    del graph.value_info[:]  # their types are others now
    for opset in model.opset_import:
        if opset.domain == "":
            opset.version = max(opset.version, OPSET)


def fused_blocks(model: Any) -> FusedBlocks:
    """How the 8-bit convolutions of a graph end, by the pattern that TensorRT fuses."""
    nodes = list(model.graph.node)
    makers = {output: node for node in nodes for output in node.output}
    readers: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def quantized(name: str) -> bool:
        return name in makers and makers[name].op_type == "DequantizeLinear"

    fused: list[str] = []
    others: list[str] = []
    for node in nodes:
        if node.op_type != "Conv" or not all(quantized(name) for name in node.input[:2]):
            continue
        name = node.output[0]
        if [reader.op_type for reader in readers[name]] == ["Add"]:
            addition = readers[name][0]
            (other,) = [given for given in addition.input if given != name]
            if quantized(other):
                name = addition.output[0]
        if [reader.op_type for reader in readers[name]] == ["Relu"]:
            name = readers[name][0].output[0]
        ends = {reader.op_type for reader in readers[name]} == {"QuantizeLinear"}
        (fused if ends else others).append(node.name)
    return FusedBlocks(tuple(fused), tuple(others))


def _between(nodes: list[Any], convolutions: list[int]) -> set[int]:
    """Places of the network's nodes: what the last convolution needs, from the first one on."""
    makers = {output: index for index, node in enumerate(nodes) for output in node.output}
    found: set[int] = set()
    waiting = [makers[name] for name in nodes[convolutions[-1]].input[:1] if name in makers]
    while waiting:
        index = waiting.pop()
        if index in found or nodes[index].op_type not in _NETWORK:
            continue
        found.add(index)
        waiting += [makers[name] for name in nodes[index].input if name in makers]
    return {i for i in found if nodes[i].op_type != "Constant"}


def _replace_input(node: Any, name: str, by: str) -> None:
    names: Iterable[str] = [by if given == name else given for given in node.input]
    del node.input[:]
    node.input.extend(names)
