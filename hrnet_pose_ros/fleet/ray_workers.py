# SPDX-License-Identifier: Apache-2.0
"""Workers of a fleet as actors of a Ray cluster, one for each GPU or each part of the cores.

The machines need this package and a way to the bags, but no folder in common with the one that
starts the fleet: the model's file goes to them through Ray, and the results come back through it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from hrnet_pose_ros.files import scratch_folder
from hrnet_pose_ros.fleet.bag_worker import BagWorker, FleetTask, TaskOutcome
from hrnet_pose_ros.fleet.recipe import Recipe
from hrnet_pose_ros.fleet.scheduler import Slot
from hrnet_pose_ros.pipeline.settings import Settings


def connect(address: str) -> Any:
    """The module ``ray``, connected to a cluster.

    Parameters
    ----------
    address
        As ``ray.init`` takes it: ``auto``, ``HOST:6379``, ``ray://HOST:10001``, or ``local`` for a
        cluster of this machine alone.

    Raises
    ------
    ImportError
        Ray is not installed.
    RuntimeError
        There is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise ImportError(
            "--ray needs Ray, which is not installed: pip install 'hrnet_pose_ros[ray]'"
        ) from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            text = " ".join(str(error).split())
            raise RuntimeError(f"there is no Ray cluster at '{address}': {text}") from None
    return ray


def ray_recipe(ray: Any, settings: Settings, image: str | None, detections: str | None) -> Recipe:
    """A recipe for the machines of a cluster: what they have decides about ``engine: auto``.

    A cluster may grow: TensorRT that is asked for by name is taken, whether a GPU is there or not.
    """
    has_gpu = any(node["Resources"].get("GPU", 0) >= 1 for node in _nodes(ray))
    able = has_gpu or settings.engine == "tensorrt"
    missing = "" if able else "no machine of the Ray cluster has a GPU"
    return Recipe.of(settings, image, detections, why_no_tensorrt=lambda device: missing)


def ray_slots(ray: Any, recipe: Recipe, jobs: int | None, cache: Path | None) -> list[Slot]:
    """Places for actors.

    Parameters
    ----------
    jobs
        How many; what does not fit waits until the cluster has grown. None: as many as fit now,
        one a GPU, or one for as many cores as the parameter ``threads`` says (0: one core).

    Raises
    ------
    RuntimeError
        Nothing fits.
    """
    threads = recipe.settings.threads or 1
    name, each = ("GPU", 1) if recipe.settings.engine == "tensorrt" else ("CPU", threads)
    fitting = sum(int(node["Resources"].get(name, 0) // each) for node in _nodes(ray))
    if not (jobs or fitting):
        raise RuntimeError(
            f"no machine of the Ray cluster has {each} {name} for a worker; --jobs N waits for them"
        )
    paths = [recipe.model] + ([recipe.beside] if recipe.beside else [])
    model = ray.put({path.name: path.read_bytes() for path in paths})  # once for all actors
    return [RaySlot(ray, model, recipe, threads, cache) for _ in range(jobs or fitting)]


def _nodes(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


class RaySlot(Slot):
    """A place for one actor after the other; Ray chooses the machine of each.

    ``model`` is Ray's reference to the contents of the model's files, by their names.
    """

    def __init__(
        self, ray: Any, model: Any, recipe: Recipe, threads: int, cache: Path | None
    ) -> None:
        self._ray = ray
        errors = ray.exceptions
        # A worker answers with what went wrong; what it raises is the loss of it or its machine.
        self.lost = (errors.RayError,)
        resources = {"num_gpus": 1} if recipe.settings.engine == "tensorrt" else {}
        self._actor_class = ray.remote(_RayWorker).options(
            num_cpus=threads, max_restarts=0, **resources
        )
        self._arguments = model, recipe, threads, cache
        self._actor: Any = None

    def start(self) -> Future[str]:
        self.stop()
        self._actor = self._actor_class.remote(*self._arguments)
        return self._future(self._actor.start.remote())

    def submit(self, task: FleetTask) -> Future[TaskOutcome]:
        return self._future(self._actor.run.remote(task))

    def why_lost(self, error: BaseException) -> str:
        kind = type(error).__name__
        if "OutOfMemory" in kind:
            return "the Ray worker was ended because its machine ran out of memory"
        return "the Ray worker or its machine died"

    def stop(self) -> None:
        if self._actor is not None:
            self._ray.kill(self._actor)
            self._actor = None

    @staticmethod
    def _future(reference: Any) -> Future[Any]:
        future: Future[Any] = reference.future()
        return future


class _RayWorker:
    """The actor: a `BagWorker` with a folder of its own on its machine."""

    def __init__(
        self, model: Mapping[str, bytes], recipe: Recipe, threads: int, cache: Path | None
    ) -> None:
        temporary = Path(tempfile.gettempdir())
        # Ray kills actors; the next one on this machine removes what they leave in such a folder.
        self._stack = ExitStack()
        folder = self._stack.enter_context(scratch_folder(temporary))
        for name, content in model.items():
            (folder / name).write_bytes(content)
        recipe = replace(recipe, model=folder / recipe.model.name)
        self._cache = cache or temporary
        self._worker = BagWorker(recipe, threads, cache)

    def start(self) -> str:
        return self._worker.start()

    def run(self, task: FleetTask) -> TaskOutcome:
        with scratch_folder(self._cache) as scratch:
            outcome = self._worker.run(task, scratch)
            if outcome.reason:
                return outcome
            made = scratch / task.key
            files = {
                path.relative_to(made).as_posix(): path.read_bytes()
                for path in made.rglob("*")
                if path.is_file()
            }
            return replace(outcome, files=files)
