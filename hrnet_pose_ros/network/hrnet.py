# SPDX-License-Identifier: Apache-2.0
"""HRNet, the high-resolution network, in the order and words of the paper (CVPR 2019).

A stem brings the crop to a quarter of its size; four stages follow. Stage s runs s branches in
parallel, branch b at 1/2**b of the highest resolution with 2**b times its width; after every
exchange module each branch receives the sum of all of them. The heatmaps are read from the
highest resolution. Section 4.3 of the paper tries fewer exchange units and heatmaps of the other
resolutions; HRNetV2 (Wang et al., TPAMI 2020) reads them from all resolutions together:
`HRNetConfiguration` has these as its last attributes.

Module names give the parameter names of the published checkpoints (``stage3.1.branches.0.2.…``),
so these load without renaming.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from hrnet_pose_ros.model_files.metadata import STRIDE
from hrnet_pose_ros.skeleton import COCO17

STEM_WIDTH = 64  # channels of the two stride-2 convolutions, the same in every configuration


def convolution(width_in: int, width: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (divided by stride), bias left to the normalisation."""
    return nn.Conv2d(width_in, width, kernel, stride, padding=kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual connection; the unit of every branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = convolution(width, width, 3)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


class Bottleneck(nn.Module):
    """1x1, 3x3 and widening 1x1 convolution with a residual connection; the unit of layer1.

    Also that of the ResNets of SimpleBaseline, where the 3x3 convolution may have a stride.
    """

    expansion = 4

    def __init__(self, width_in: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        width = planes * self.expansion
        self.conv1 = convolution(width_in, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = convolution(planes, planes, 3, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = convolution(planes, width, 1)
        self.bn3 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        # The shortcut needs its own convolution only where the width or the size changes.
        self.downsample: nn.Module | None = None
        if width_in != width or stride != 1:
            self.downsample = nn.Sequential(
                convolution(width_in, width, 1, stride), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + shortcut)


class Transition(nn.ModuleList):
    """Between two stages: adapts widths and opens one more branch at half the resolution."""

    def __init__(self, widths_in: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        for branch, width in enumerate(widths):
            if branch >= len(widths_in):  # the new branch, from the lowest resolution there is
                step = _normalised(widths_in[-1], width, stride=2)
                self.append(nn.Sequential(nn.Sequential(*step, nn.ReLU(inplace=True))))
            elif width != widths_in[branch]:
                self.append(
                    nn.Sequential(*_normalised(widths_in[branch], width), nn.ReLU(inplace=True))
                )
            else:
                self.append(nn.Identity())

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        last = len(branches) - 1
        return [layer(branches[min(i, last)]) for i, layer in enumerate(self)]


class ExchangeModule(nn.Module):
    """Parallel branches of BasicBlocks, then the exchange unit that fuses across resolutions.

    ``targets`` are the branches (0 is the highest resolution) that the exchange unit gives; None
    leaves it out, and the branches go on by themselves.
    """

    def __init__(self, widths: Sequence[int], blocks: int, targets: Sequence[int] | None) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(blocks))) for width in widths
        )
        self.exchanges = targets is not None
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_resample(widths, source, target) for source in range(len(widths)))
            for target in targets or ()
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        if not self.exchanges:
            return xs
        fused = []
        for layers in self.fuse_layers:
            assert isinstance(layers, nn.ModuleList)
            total = layers[0](xs[0])
            for layer, x in zip(layers[1:], xs[1:], strict=True):
                total = total + layer(x)
            fused.append(self.relu(total))
        return fused


def _normalised(width_in: int, width: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    return [convolution(width_in, width, kernel, stride), nn.BatchNorm2d(width)]


def _resample(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """The exchange unit's path from one resolution to another."""
    if source == target:
        return nn.Identity()
    if source > target:  # up: 1x1 convolution, then nearest neighbour
        return nn.Sequential(
            *_normalised(widths[source], widths[target], kernel=1),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    # Down: stride-2 convolutions; the last one changes the width and is not rectified.
    steps = [
        nn.Sequential(*_normalised(widths[source], widths[source], stride=2), nn.ReLU(inplace=True))
        for _ in range(target - source - 1)
    ]
    steps.append(nn.Sequential(*_normalised(widths[source], widths[target], stride=2)))
    return nn.Sequential(*steps)


class MultiResolutionHead(nn.Module):
    """HRNetV2's representation: every resolution, brought to the highest and mixed by a 1x1.

    HRNetV2 resizes the branches (bilinear), concatenates them and convolves 1x1. A 1x1 convolution
    of a concatenation is the sum of one for each part, and it commutes with the resizing: so each
    branch is convolved at its own resolution, which costs a quarter, a 16th and a 64th of it.

    ``forward`` takes the branches ``[N, C·2**b, H/2**b, W/2**b]`` and returns ``[N, width, H, W]``.
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convolution(branch, width, 1) for branch in widths)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, xs: list[Tensor]) -> Tensor:
        total = self.convs[0](xs[0])
        for branch, (conv, x) in enumerate(zip(self.convs[1:], xs[1:], strict=True), 1):
            total = total + nn.functional.interpolate(
                conv(x), scale_factor=2.0**branch, mode="bilinear", align_corners=False
            )
        mixed: Tensor = self.relu(self.bn(total))
        return mixed


class HRNet(nn.Module):
    """HRNet with a heatmap head.

    ``forward`` takes normalised RGB crops, float ``[N, 3, H, W]`` with H and W multiples of 32,
    and returns heatmaps ``[N, joints, H/stride, W/stride]``; the configuration's ``stride`` is 4
    outside ablations. The head has a bias and no activation: values may lie below 0 or above 1.
    """

    def __init__(self, configuration: HRNetConfiguration, joints: int = COCO17.joints) -> None:
        super().__init__()
        self.configuration = configuration
        self.conv1 = convolution(3, STEM_WIDTH, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(STEM_WIDTH)
        self.conv2 = convolution(STEM_WIDTH, STEM_WIDTH, 3, stride=2)
        self.bn2 = nn.BatchNorm2d(STEM_WIDTH)
        self.relu = nn.ReLU(inplace=True)
        planes = configuration.layer1_planes
        width = planes * Bottleneck.expansion
        self.layer1 = nn.Sequential(
            Bottleneck(STEM_WIDTH, planes),
            *(Bottleneck(width, planes) for _ in range(configuration.layer1_blocks - 1)),
        )
        widths = configuration.widths
        self.transition1 = Transition([width], widths[:2])
        self.stage2 = self._stage(2, range(2))
        self.transition2 = Transition(widths[:2], widths[:3])
        self.stage3 = self._stage(3, range(3))
        self.transition3 = Transition(widths[:3], widths)
        mixes = configuration.head_width > 0
        self.stage4 = self._stage(4, range(4) if mixes else [configuration.heatmap_branch])
        self.head = MultiResolutionHead(widths, configuration.head_width) if mixes else None
        self.final_layer = nn.Conv2d(configuration.heatmap_width, joints, kernel_size=1)

    def _stage(self, stage: int, targets: Sequence[int]) -> nn.Sequential:
        """Stage 2, 3 or 4; its last module gives the branches ``targets``, the others all."""
        widths = self.configuration.widths[:stage]
        blocks = self.configuration.blocks
        exchange = self.configuration.exchange
        within = range(stage) if exchange == "within_stages" else None
        last = None if exchange == "final" and stage < 4 else targets
        return nn.Sequential(
            *(
                ExchangeModule(widths, blocks, within)
                for _ in range(self.configuration.modules[stage - 2] - 1)
            ),
            ExchangeModule(widths, blocks, last),
        )

    def forward(self, crops: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(crops)))
        x = self.relu(self.bn2(self.conv2(x)))
        xs = self.transition1([self.layer1(x)])
        xs = self.transition2(self.stage2(xs))
        xs = self.transition3(self.stage3(xs))
        xs = self.stage4(xs)
        heatmaps: torch.Tensor = self.final_layer(xs[0] if self.head is None else self.head(xs))
        return heatmaps


# Where exchange units stand (Table 4 of the paper): only at the very end (a), also at the end of
# stages 2 and 3 (b), also after every module within the stages (c: HRNet).
Exchange = Literal["final", "across_stages", "within_stages"]


@dataclass(frozen=True)
class HRNetConfiguration:
    """The numbers that make one member of the family.

    Attributes
    ----------
    name
        The configuration's name, as users write it.
    width
        C, the channels of the highest resolution; lower ones have 2C, 4C and 8C.
    layer1_blocks, layer1_planes
        Bottlenecks of the first stage and their inner width.
    modules
        Exchange modules of stages 2, 3 and 4.
    blocks
        BasicBlocks of a branch in every module.
    exchange
        Where the branches exchange information.
    heatmap_branch
        The branch that the heatmaps are read from: 0 (a quarter of the crop), 1 or 2.
    head_width
        Channels of the mix of all branches that the heatmaps are read from (HRNetV2); 0: they are
        read from ``heatmap_branch`` alone.
    """

    name: str
    width: int
    layer1_blocks: int = 4
    layer1_planes: int = 64
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4
    exchange: Exchange = "within_stages"
    heatmap_branch: int = 0
    head_width: int = 0

    def __post_init__(self) -> None:
        if self.head_width and self.heatmap_branch:
            raise ValueError(
                f"{self.name}: head_width {self.head_width} mixes all branches at the highest "
                f"resolution; heatmap_branch must be 0 then, got {self.heatmap_branch}"
            )

    @property
    def stride(self) -> int:
        """Crop pixels per heatmap cell."""
        return STRIDE * 2**self.heatmap_branch

    @property
    def heatmap_width(self) -> int:
        """Channels that the last convolution makes the heatmaps of."""
        return self.head_width or self.widths[self.heatmap_branch]

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four resolutions, highest first."""
        return (self.width, 2 * self.width, 4 * self.width, 8 * self.width)


CONFIGURATIONS: dict[str, HRNetConfiguration] = {
    configuration.name: configuration
    for configuration in (
        HRNetConfiguration("hrnet_w32", 32),
        HRNetConfiguration("hrnet_w48", 48),
        # The bundled demonstration model (models/hrnetv2_w24_small.md): HRNetV2's head.
        HRNetConfiguration(
            "hrnetv2_w24_small",
            24,
            layer1_blocks=1,
            layer1_planes=32,
            modules=(1, 1, 1),
            blocks=2,
            head_width=48,
        ),
        # The ablations of the paper (section 4.3): AP 70.8, 71.9 and, for hrnet_w32, 73.4 without
        # pretraining; then heatmaps of 1/8 and of 1/16 of the crop.
        HRNetConfiguration("hrnet_w32_final_exchange", 32, exchange="final"),
        HRNetConfiguration("hrnet_w32_across_stages", 32, exchange="across_stages"),
        HRNetConfiguration("hrnet_w32_stride_8", 32, heatmap_branch=1),
        HRNetConfiguration("hrnet_w32_stride_16", 32, heatmap_branch=2),
    )
}
