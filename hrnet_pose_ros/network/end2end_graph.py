# SPDX-License-Identifier: Apache-2.0
"""The whole way from a camera image to key points as one graph: crop, HRNet, decoding.

Engines that compile a graph (TensorRT) get all of it: the raw image goes up, key points come down.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hrnet_pose_ros.model_files.metadata import MEAN, STD, End2EndGraphMetadata
from hrnet_pose_ros.network.graph_crops import sample_crops
from hrnet_pose_ros.network.graph_decoding import GraphPoints, HeatmapDecoder

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class GraphStages(NamedTuple):
    """What the graph computes, step by step; the last two stay inside.

    crops: float32 ``[N, 3, H_in, W_in]`` in whole levels from 0 to 255, RGB; heatmaps: float32
    ``[N, J, h, w]``, with a flip test the average. The rest as `GraphPoints`.
    """

    keypoints: Tensor
    scores: Tensor
    covariances: Tensor
    crops: Tensor
    heatmaps: Tensor


class End2EndGraph(nn.Module):
    """Image and transforms in, key points out; the mathematics is that of ``pose/``.

    ``forward`` takes ``image`` uint8 ``[H, W, 3]``, ``crop_to_image`` float32 ``[N, 2, 3]``
    (`hrnet_pose_ros.pose.boxes.crop_to_image` by the model's crop rule) and ``channels`` int32
    ``[3]``, the places of red, green and blue in the image (0, 1, 2 for RGB, 2, 1, 0 for BGR), and
    returns `GraphPoints`.

    Only the network computes in the precision asked for. With float16 its last convolution still
    is float32: in 11 bits a peak and its neighbour are often equal, and the key point moves by
    half a cell.
    """

    channels: Tensor
    mean: Tensor
    std: Tensor
    joints_mirrored: Tensor
    columns_mirrored: Tensor
    cells_mirrored: Tensor

    def __init__(self, network: nn.Module, metadata: End2EndGraphMetadata) -> None:
        """Take a copy of a pose network (`load_pose_network`), which stays as it is."""
        super().__init__()
        model = metadata.model
        self.input_size = model.input_size
        self.joints = model.skeleton.joints
        self.flip_test = metadata.flip_test
        self.turned = model.colour_order == "bgr"
        network = with_folded_normalisation(network)
        self.dtype = torch.float32
        if metadata.precision == "float16":
            self.dtype = torch.float16
            final = network.final_layer
            network.final_layer = nn.Identity()  # its weights stay as they are
            network.half().final_layer = _InFloat32(final)
        self.network = network
        self.decoder = HeatmapDecoder(
            model.heatmap_size, metadata.decoding, model.target_sigma, model.crop
        )
        self.register_buffer("channels", torch.tensor([2, 1, 0]))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        # Mirroring picks columns in descending order; shifted by one, the first one comes twice.
        columns = torch.arange(model.input_width).flip(0)
        cells = torch.arange(model.heatmap_size[0]).flip(0)
        if model.flip_shift:
            cells = torch.cat([cells[:1], cells[:-1]])
        self.register_buffer("columns_mirrored", columns)
        self.register_buffer("cells_mirrored", cells)
        self.register_buffer("joints_mirrored", torch.from_numpy(model.skeleton.mirrored.copy()))

    def forward(self, image: Tensor, crop_to_image: Tensor, channels: Tensor) -> GraphPoints:
        return GraphPoints(*self.stages(image, crop_to_image, channels)[:3])

    def stages(self, image: Tensor, crop_to_image: Tensor, channels: Tensor) -> GraphStages:
        """All steps of ``forward``, with what is between them."""
        # The crops are turned, not the image: they are less than half of 720p for 10 persons.
        crops = sample_crops(image, crop_to_image, self.input_size).index_select(1, channels)
        heatmaps = self.heatmaps(crops)
        points: GraphPoints = self.decoder(heatmaps, crop_to_image)
        return GraphStages(points.keypoints, points.scores, points.covariances, crops, heatmaps)

    def heatmaps(self, crops: Tensor) -> Tensor:
        """Crops ``[N, 3, H_in, W_in]`` in levels to heatmaps ``[N, J, h, w]``, both float32."""
        x = crops.index_select(1, self.channels) if self.turned else crops
        x = ((x / 255.0 - self.mean) / self.std).to(self.dtype)
        if not self.flip_test:
            return self._run(x)
        both = torch.cat([x, x.index_select(3, self.columns_mirrored)])
        width, height = self.decoder.size
        pair = self._run(both).reshape(2, -1, self.joints, height, width)
        mirrored = pair[1].index_select(1, self.joints_mirrored)
        return (pair[0] + mirrored.index_select(3, self.cells_mirrored)) * 0.5

    def _run(self, crops: Tensor) -> Tensor:
        heatmaps: Tensor = self.network(crops).to(torch.float32)
        return heatmaps


class _InFloat32(nn.Module):
    """A layer that computes in float32 whatever it is given."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.to(torch.float32))
        return y


def with_folded_normalisation(network: nn.Module) -> nn.Module:
    """A copy whose normalisations are part of the convolutions before them.

    Folded in float32 first, weights lose less when they become float16. A normalisation belongs to
    the convolution that its module lists just before it, or to the list of convolutions there,
    whose results are summed, as everywhere in this package.
    """
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        before: tuple[str, nn.Module] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                assert before is not None, f"{name} follows no convolution"
                setattr(module, before[0], _normalised(before[1], child))
                setattr(module, name, nn.Identity())
            before = (name, child) if isinstance(child, (*_CONVOLUTIONS, nn.ModuleList)) else None
    return network


def _normalised(before: nn.Module, normalisation: nn.BatchNorm2d) -> nn.Module:
    if not isinstance(before, nn.ModuleList):
        across = isinstance(before, nn.ConvTranspose2d)  # its weight's axes
        fused: nn.Module = fuse_conv_bn_eval(before, normalisation, transpose=across)
        return fused
    # Of a sum, each term is scaled, and only the first one is shifted.
    scaling = copy.deepcopy(normalisation)
    nn.init.zeros_(scaling.running_mean)
    nn.init.zeros_(scaling.bias)
    terms = [fuse_conv_bn_eval(before[0], normalisation)]
    for convolution in before[1:]:
        term = fuse_conv_bn_eval(convolution, scaling)
        term.bias = None
        terms.append(term)
    return nn.ModuleList(terms)
