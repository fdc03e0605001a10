# SPDX-License-Identifier: Apache-2.0
"""The command ``hrnet_pose VERB``: everything that runs without ROS.

Each verb has a file of its own with a function ``add_<verb>`` that declares its arguments, and one
that runs it. What a verb needs is imported only then.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from hrnet_pose_ros.cli.arguments import Verbs
from hrnet_pose_ros.cli.bag_info import add_bag_info
from hrnet_pose_ros.cli.calibrate import add_calibrate
from hrnet_pose_ros.cli.compare import add_compare
from hrnet_pose_ros.cli.compile import add_compile
from hrnet_pose_ros.cli.doctor import add_doctor
from hrnet_pose_ros.cli.estimate import add_estimate
from hrnet_pose_ros.cli.evaluate import add_evaluate
from hrnet_pose_ros.cli.export import add_export
from hrnet_pose_ros.cli.fetch import add_fetch
from hrnet_pose_ros.cli.fleet import add_fleet
from hrnet_pose_ros.cli.fleet_compare import add_fleet_compare
from hrnet_pose_ros.cli.fuse import add_fuse
from hrnet_pose_ros.cli.fusion_report import add_fusion_report
from hrnet_pose_ros.cli.guard_proof import add_guard_proof
from hrnet_pose_ros.cli.models import add_models
from hrnet_pose_ros.cli.quantize import add_quantize
from hrnet_pose_ros.cli.replay import add_replay
from hrnet_pose_ros.cli.simulate import add_simulate
from hrnet_pose_ros.cli.train import add_train
from hrnet_pose_ros.version import VERSION

# What argparse itself exits with when the arguments are wrong.
USER_ERROR = 2
# What a shell gives for a program that Ctrl-C ended.
INTERRUPTED = 130

# In the order in which the help lists them.
VERBS: dict[str, Callable[[Verbs], None]] = {
    "doctor": add_doctor,
    "estimate": add_estimate,
    "models": add_models,
    "fetch": add_fetch,
    "export": add_export,
    "quantize": add_quantize,
    "compile": add_compile,
    "evaluate": add_evaluate,
    "calibrate": add_calibrate,
    "train": add_train,
    "replay": add_replay,
    "bag-info": add_bag_info,
    "compare": add_compare,
    "fleet": add_fleet,
    "fleet-compare": add_fleet_compare,
    "simulate": add_simulate,
    "fuse": add_fuse,
    "fusion-report": add_fusion_report,
    "guard-proof": add_guard_proof,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0 or what the verb says (1 where `compare`,
    `fleet-compare` or `guard-proof` finds a fail, or `estimate` or `fleet` could not use all of
    its input), 2 after a user error, or 130 after Ctrl-C.

    User errors (ValueError, RuntimeError and OSError by the project's convention) are printed as
    one line.
    """
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        _end_bars()
        line = " ".join(str(error).split())
        print(f"hrnet_pose: {line or type(error).__name__}", file=sys.stderr)
        return USER_ERROR
    except MemoryError as error:
        _end_bars()
        words = str(error) or "an allocation failed"
        print(f"hrnet_pose: not enough memory: {words}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        _end_bars()
        return INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="hrnet_pose", description="Human pose by HRNet: tools beside the ROS 2 node."
    )
    parser.add_argument("--version", action="version", version=f"hrnet_pose {VERSION}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    # Only the verb that is asked for: the doctor has to start where a library of another is broken.
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name in [asked] if asked in VERBS else VERBS:
        VERBS[name](verbs)
    options = parser.parse_args(arguments)
    code: int | None = options.run(options)
    return code or 0


def _end_bars() -> None:
    """Only where the verb has shown a bar: the doctor runs without its library."""
    bars = sys.modules.get("hrnet_pose_ros.progress")
    if bars is not None:
        bars.end_bars()
