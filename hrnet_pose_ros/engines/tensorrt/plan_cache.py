# SPDX-License-Identifier: Apache-2.0
"""Compiled plans kept in a folder, which several processes may share."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import CudaDevice, find_device
from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt, find_library
from hrnet_pose_ros.engines.tensorrt.plan_files import (
    MODE,
    PLAN,
    SIDECAR,
    PlanRefused,
    check_folder,
    read_file,
    read_plan,
    read_sidecar,
    write_plan,
)
from hrnet_pose_ros.engines.tensorrt.plan_key import PlanKey, described, serves
from hrnet_pose_ros.engines.tensorrt.plan_lock import held, open_lock
from hrnet_pose_ros.files import write_file

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A serialised engine, and whether it was built just now.

    ``path`` is where it is kept; None where it could not be, or is not yet (`PlanCache.keep`).
    """

    data: bytes
    path: Path | None
    built: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Built:
    """What a build gives: the plan, and the timings that shorten later builds (may be empty)."""

    plan: bytes
    timings: bytes = b""


# Builds a plan, given the timings of earlier builds (empty where there are none).
Build = Callable[[bytes], Built]


def plan_folder(folder: str | Path = "") -> Path:
    """The folder of a parameter; empty: ``$XDG_CACHE_HOME`` or ``~/.cache``, ``/hrnet_pose/plans``.

    Raises EngineError where the user has no home.
    """
    if str(folder):
        return Path(folder).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):
        cache = os.path.expanduser("~/.cache")
    if not os.path.isabs(cache):
        raise EngineError("this user has no home folder: name a folder by plan_cache")
    return Path(cache) / "hrnet_pose" / "plans"


class PlanCache:
    """Gives plans: kept ones where they fit and are whole, else newly built ones, then kept.

    Plans that fit no longer stay; `list_plans` shows them.
    """

    def __init__(self, folder: Path, *, must_keep: bool = False) -> None:
        """``must_keep``: a plan that cannot be kept is an EngineError, not a warning."""
        self.folder = folder
        self._must_keep = must_keep

    def obtain(self, key: PlanKey, build: Build, watch: BuildWatch, rejected: str = "") -> Plan:
        """A plan for a key.

        Parameters
        ----------
        key
            What the plan must fit.
        build
            Called where no kept plan serves, on this thread.
        watch
            Hears about waiting for another process, and may end it; ``build`` has its own.
        rejected
            Checksum of a plan that the library did not take, which is not given again. What is
            built instead is not kept yet: the library may have had another reason, and a good plan
            must not be lost (`keep`).

        Raises
        ------
        BuildCancelled
            The watch ended the waiting, or ``build`` raised it.
        EngineError
            The plan cannot be kept, with ``must_keep``; or ``build`` raised it.
        """
        try:
            self._open()
        except (OSError, PlanRefused) as error:
            return self._unkept(build, f"the plan cache cannot be used: {error}")
        if plan := self._find(key, rejected):
            return plan
        path = self.folder / (key.stem + PLAN)
        try:
            lock = open_lock(path.with_suffix(".lock"))
        except OSError as error:
            reason = f"the plan cache '{self.folder}' is not writable: {error.strerror}"
            return self._unkept(build, reason)
        with held(lock, key.stem, watch) as waited:
            if waited and (plan := self._find(key, rejected)):
                return plan
            return self._build(key, build, path, keep=not rejected)

    def keep(self, key: PlanKey, plan: Plan) -> Plan:
        """Keep a plan that was built in place of another one and has proved itself.

        Raises EngineError where it cannot be kept, with ``must_keep``.
        """
        if plan.path is not None:
            return plan
        path = self.folder / (key.stem + PLAN)
        try:
            self._open()
            with held(open_lock(path.with_suffix(".lock")), key.stem, BuildWatch()):
                write_plan(path, key, plan.data)
        except (OSError, PlanRefused) as error:
            self._complain(f"the plan cannot be kept in '{self.folder}': {error}")
            return plan
        _log.info("plan built and kept: '%s'", path)
        return replace(plan, path=path)

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        check_folder(self.folder)

    def _unkept(self, build: Build, reason: str) -> Plan:
        self._complain(reason)
        return Plan(build(b"").plan, None, True)

    def _complain(self, reason: str) -> None:
        if self._must_keep:
            raise EngineError(reason)
        _log.warning(
            "%s. The plan is built in memory, at every start: mend that, name another folder "
            "(parameter plan_cache), or build ahead of time with 'hrnet_pose compile'",
            reason,
        )

    def _build(self, key: PlanKey, build: Build, path: Path, keep: bool) -> Plan:
        timings = self.folder / _timings_name(key)
        built = build(_read_if_there(timings))
        if not keep:
            return Plan(built.plan, None, True)
        try:
            write_plan(path, key, built.plan)
            if built.timings:
                write_file(timings, built.timings, mode=MODE)
        except OSError as error:
            self._complain(f"the plan cannot be kept in '{self.folder}': {error.strerror}")
            return Plan(built.plan, None, True)
        _log.info("plan built and kept: '%s'", path)
        return Plan(built.plan, path, True)

    def _find(self, key: PlanKey, rejected: str) -> Plan | None:
        """A kept plan that serves, the one built for exactly this key first."""
        sidecars = sorted(self.folder.glob(f"{key.prefix}_*{SIDECAR}"))
        sidecars.sort(key=lambda path: path.stem != key.stem)
        passed_over = []
        for path in sidecars:
            try:
                sidecar = read_sidecar(path)
                if reason := key.against(sidecar.key):
                    raise PlanRefused(reason)
                if sidecar.plan_sha256 == rejected:
                    raise PlanRefused("the library did not take it")
                plan = Plan(
                    read_plan(path.with_suffix(PLAN), sidecar), path.with_suffix(PLAN), False
                )
            except PlanRefused as error:
                passed_over.append((path.with_suffix(PLAN).name, error))
                continue
            _log.info("plan from '%s'", plan.path)
            return plan
        for name, why in passed_over:
            _log.warning("plan '%s' in '%s' is not used: %s", name, self.folder, why)
        if (self.folder / (key.stem + PLAN)).exists() and not passed_over:
            _log.warning("plan '%s' in '%s' is not used: no sidecar", key.stem + PLAN, self.folder)
        return None


@dataclass(frozen=True)
class PlanStatus:
    """A kept plan, and whether this machine can use it.

    ``reason`` says why not and is empty where it can; ``key`` is None where the sidecar is
    missing or damaged.
    """

    path: Path
    usable: bool
    reason: str
    key: PlanKey | None
    size: int


def list_plans(folder: str | Path = "", device: int = 0) -> list[PlanStatus]:
    """Every plan of a folder (as `plan_folder` takes it), by name, each checked whole.

    Parameters
    ----------
    folder
        The folder; a missing one contains no plans.
    device
        Index of the CUDA device that they would run on.
    """
    place = plan_folder(folder)
    here, missing = _this_machine(device)
    return [_status(path, here, missing) for path in sorted(place.glob(f"*{PLAN}"))]


def _this_machine(device: int) -> tuple[tuple[TensorRt, CudaDevice] | None, str]:
    try:
        found = find_device(device)
        return (find_library(found.compute_capability), found), ""
    except EngineError as error:
        return None, str(error)


def _status(path: Path, here: tuple[TensorRt, CudaDevice] | None, missing: str) -> PlanStatus:
    key, size = None, path.stat().st_size
    try:
        check_folder(path.parent)
        sidecar = read_sidecar(path.with_suffix(SIDECAR))
        key = sidecar.key
        read_plan(path, sidecar)
    except PlanRefused as error:
        return PlanStatus(path, False, str(error), key, size)
    reason = missing if here is None else _against(key, *here)
    return PlanStatus(path, not reason, reason, key, size)


def _against(key: PlanKey, library: TensorRt, device: CudaDevice) -> str:
    ours, theirs = f"{library.name} {library.version}", f"{key.library} {key.library_version}"
    if ours != theirs:
        return f"it is for {theirs}, here is {ours}"
    wanted = target_of(device)
    if not serves(key.target, wanted):
        return f"it is for {described(key.target)}, here is {described(wanted)}"
    return ""


def target_of(device: CudaDevice) -> GpuTarget:
    """The target of a plan that is built on a device and for it."""
    return GpuTarget((device.compute_capability,), device.name, device.multiprocessors)


def _timings_name(key: PlanKey) -> str:
    """Timings hold for one library version on one kind of GPU."""
    words = (key.library, key.library_version, key.target.device, *key.target.compute_capabilities)
    return f"timings_{'_'.join(words).replace(' ', '-').replace(os.sep, '-')}.cache"


def _read_if_there(path: Path) -> bytes:
    try:
        return read_file(path)
    except PlanRefused as error:
        if path.exists():
            _log.warning("timings of earlier builds are not used: %s", error)
        return b""
