# SPDX-License-Identifier: Apache-2.0
"""Every pose network that this package knows, by name."""

from __future__ import annotations

from hrnet_pose_ros.model_files.metadata import STRIDE, ModelError
from hrnet_pose_ros.network.hrnet import CONFIGURATIONS, HRNet, HRNetConfiguration
from hrnet_pose_ros.network.simple_baseline import (
    SIMPLE_BASELINES,
    SimpleBaseline,
    SimpleBaselineConfiguration,
)
from hrnet_pose_ros.skeleton import COCO17

PoseNetwork = HRNet | SimpleBaseline
PoseConfiguration = HRNetConfiguration | SimpleBaselineConfiguration

POSE_NETWORKS: dict[str, PoseConfiguration] = {**CONFIGURATIONS, **SIMPLE_BASELINES}


def pose_network(name: str, joints: int = COCO17.joints) -> PoseNetwork:
    """A network with fresh weights, which gives a heatmap for each of so many joints.

    Raises
    ------
    ValueError
        There is no configuration of that name.
    """
    if name not in POSE_NETWORKS:
        raise ValueError(f"no network '{name}'; the known ones are {', '.join(POSE_NETWORKS)}")
    return network_of(POSE_NETWORKS[name], joints)


def network_of(configuration: PoseConfiguration, joints: int = COCO17.joints) -> PoseNetwork:
    """The network that a configuration describes, with fresh weights."""
    if isinstance(configuration, HRNetConfiguration):
        return HRNet(configuration, joints)
    return SimpleBaseline(configuration, joints)


def joints_of(network: PoseNetwork) -> int:
    """The number of joints that a network gives heatmaps of."""
    return network.final_layer.out_channels


def check_stride(network: PoseNetwork) -> None:
    """Raise ModelError unless the heatmaps are a quarter of the crop, as every decoding expects."""
    configuration = network.configuration
    if configuration.stride != STRIDE:
        raise ModelError(
            f"{configuration.name} gives heatmaps of 1/{configuration.stride} of the crop and is "
            f"here for comparison only: engines decode heatmaps of 1/{STRIDE}"
        )


def check_head(network: PoseNetwork) -> None:
    """Raise ModelError unless the last convolution has as many channels as it makes heatmaps.

    With fewer, the maps are linearly dependent: one combination of them has the same value
    whatever the picture, and training gives up what that combination tells apart (measured on 16
    channels for COCO's 17 joints: left against right ankle, so that both lie on one foot).
    """
    joints, channels = network.final_layer.weight.shape[:2]
    if channels < joints:
        raise ModelError(
            f"{network.configuration.name} makes {joints} heatmaps of {channels} channels, so they "
            "cannot vary independently, and joints are confused: use a network with a wider last "
            "layer, or set narrow_head: true"
        )


def usual_colour_order(network: PoseNetwork) -> str:
    """Colour order of weights that nobody says anything about: RGB for an HRNet.

    Raises ModelError for a SimpleBaseline: MMPose publishes RGB weights, the authors BGR ones.
    """
    if isinstance(network, SimpleBaseline):
        raise ModelError(
            f"weights of {network.configuration.name} exist for RGB and for BGR images, and these "
            "are not known in the zoo: name their order (colour_order, --colour-order)"
        )
    return "rgb"
