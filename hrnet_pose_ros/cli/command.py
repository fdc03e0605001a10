# SPDX-License-Identifier: Apache-2.0
"""The entry point of the command ``hrnet_pose``."""


def command() -> int:
    """Run `main`; Ctrl-C gives exit code 130 without a traceback while modules are loaded, too."""
    try:
        from hrnet_pose_ros.cli.main import main

        return main()
    except KeyboardInterrupt:
        return 130
