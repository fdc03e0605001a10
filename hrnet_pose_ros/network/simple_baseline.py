# SPDX-License-Identifier: Apache-2.0
"""SimpleBaseline (Xiao, Wu and Wei, ECCV 2018): a ResNet, then three deconvolutions.

The network that HRNet is compared with. It goes down to 1/32 of the crop and comes back up to a
quarter; HRNet never leaves the quarter.

Module names give the parameter names of the published checkpoints (``layer3.5.…``,
``deconv_layers.0.…``), so these load without renaming.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from hrnet_pose_ros.model_files.metadata import STRIDE
from hrnet_pose_ros.network.hrnet import STEM_WIDTH, Bottleneck, convolution
from hrnet_pose_ros.skeleton import COCO17

DECONVOLUTION_WIDTH = 256  # channels of each of the three deconvolutions


class SimpleBaseline(nn.Module):
    """ResNet with a head of deconvolutions.

    ``forward`` takes normalised crops, float ``[N, 3, H, W]`` with H and W multiples of 32, and
    returns heatmaps ``[N, joints, H/4, W/4]``. The head has a bias and no activation: values may
    lie below 0 or above 1.
    """

    def __init__(
        self, configuration: SimpleBaselineConfiguration, joints: int = COCO17.joints
    ) -> None:
        super().__init__()
        self.configuration = configuration
        self.conv1 = convolution(3, STEM_WIDTH, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(STEM_WIDTH)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        blocks = configuration.blocks
        width = Bottleneck.expansion * STEM_WIDTH
        self.layer1 = _layer(STEM_WIDTH, 64, blocks[0], stride=1)
        self.layer2 = _layer(width, 128, blocks[1], stride=2)
        self.layer3 = _layer(2 * width, 256, blocks[2], stride=2)
        self.layer4 = _layer(4 * width, 512, blocks[3], stride=2)
        self.deconv_layers = nn.Sequential(
            *_deconvolution(8 * width),
            *_deconvolution(DECONVOLUTION_WIDTH),
            *_deconvolution(DECONVOLUTION_WIDTH),
        )
        self.final_layer = nn.Conv2d(DECONVOLUTION_WIDTH, joints, kernel_size=1)

    def forward(self, crops: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(crops))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        heatmaps: Tensor = self.final_layer(self.deconv_layers(x))
        return heatmaps


def _layer(width_in: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    """Bottlenecks of one resolution; the first one comes down to it."""
    width = planes * Bottleneck.expansion
    return nn.Sequential(
        Bottleneck(width_in, planes, stride),
        *(Bottleneck(width, planes) for _ in range(blocks - 1)),
    )


def _deconvolution(width_in: int) -> list[nn.Module]:
    """Twice the size: 4x4, stride 2."""
    return [
        nn.ConvTranspose2d(
            width_in, DECONVOLUTION_WIDTH, kernel_size=4, stride=2, padding=1, bias=False
        ),
        nn.BatchNorm2d(DECONVOLUTION_WIDTH),
        nn.ReLU(inplace=True),
    ]


@dataclass(frozen=True)
class SimpleBaselineConfiguration:
    """The numbers that make one member of the family.

    Attributes
    ----------
    name
        The configuration's name, as users write it.
    blocks
        Bottlenecks of the four layers of the ResNet.
    """

    name: str
    blocks: tuple[int, int, int, int]

    @property
    def stride(self) -> int:
        """Crop pixels per heatmap cell."""
        return STRIDE


SIMPLE_BASELINES: dict[str, SimpleBaselineConfiguration] = {
    configuration.name: configuration
    for configuration in (
        SimpleBaselineConfiguration("simple_baseline_r50", (3, 4, 6, 3)),
        SimpleBaselineConfiguration("simple_baseline_r101", (3, 4, 23, 3)),
        SimpleBaselineConfiguration("simple_baseline_r152", (3, 8, 36, 3)),
    )
}
