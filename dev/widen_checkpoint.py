# SPDX-License-Identifier: Apache-2.0
"""Begin a wider network with the weights of a narrower one, to train on with `--start`.

    python dev/widen_checkpoint.py NARROW.pth hrnetv2_w24_small START.pth

The network has as many joints as the checkpoint. The old weights become the leading channels of the
new ones. Connections from new channels to old ones begin faint, so that the old channels compute
nearly what they did; all else begins fresh (compare Net2Net, Chen et al., ICLR 2016, which copies
channels instead). The head begins fresh.
"""

from __future__ import annotations

import argparse

import torch

from hrnet_pose_ros.network.checkpoints import read_state_dict
from hrnet_pose_ros.network.pose_networks import pose_network

FAINT = 0.1  # of a fresh weight, from a new channel to an old one


def widened(old: dict[str, torch.Tensor], network: str, seed: int = 1) -> dict[str, torch.Tensor]:
    """The weights of ``network``, those that ``old`` has in the leading channels."""
    torch.manual_seed(seed)
    joints = old["final_layer.weight"].shape[0]
    weights = pose_network(network, joints).state_dict()
    for name, fresh in weights.items():
        if name not in old or name.startswith("final_layer."):
            continue
        kept = old[name]
        if fresh.ndim == 4:
            out, into = kept.shape[:2]
            fresh[:out, into:] *= FAINT
            fresh[:out, :into] = kept
        else:
            fresh[tuple(slice(size) for size in kept.shape)] = kept
    torch.nn.init.normal_(weights["final_layer.weight"], std=0.001)
    weights["final_layer.bias"].zero_()
    return weights


def main() -> None:
    """Read, widen, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("network")
    parser.add_argument("output")
    options = parser.parse_args()
    torch.save(widened(read_state_dict(options.checkpoint), options.network), options.output)


if __name__ == "__main__":
    main()
