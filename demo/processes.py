# SPDX-License-Identifier: Apache-2.0
"""Runs the nodes of the demo, each in its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from ament_index_python.packages import get_package_prefix

STOP_TIMEOUT = 15.0


class NodeProcess:
    """A node of this package, run as its installed executable and stopped with SIGINT."""

    def __init__(self, executable: str, ros_arguments: list[str]) -> None:
        path = Path(get_package_prefix("hrnet_pose_ros"), "lib", "hrnet_pose_ros", executable)
        # Nothing in the demo can import torch: see demo/without_torch.
        without_torch = Path(__file__).parent / "without_torch"
        environment = os.environ | {
            "PYTHONPATH": f"{without_torch}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        }
        self.name = executable
        self.torch_importable = not subprocess.run(
            [sys.executable, "-c", "import torch"], env=environment, stderr=subprocess.DEVNULL
        ).returncode
        self.began = time.time_ns()  # on the wall clock
        self._process = subprocess.Popen([str(path), "--ros-args", *ros_arguments], env=environment)

    def memory(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def processor_time(self) -> float:
        """Seconds of processor time that the process has taken so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.exit_code = self._stop()

    def _stop(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def torch_importable() -> bool:
    """Whether this process can import torch: see demo/without_torch."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True
