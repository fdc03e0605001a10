# SPDX-License-Identifier: Apache-2.0
"""The plan cache with real plans: found, shared, refused with a reason, rebuilt, never a crash."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tensorrt_fixtures import COMPACT, Builds, Heard, key_of, library_or_skip

from hrnet_pose_ros.engines.build_watch import BuildCancelled
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt
from hrnet_pose_ros.engines.tensorrt.plan_cache import Built, PlanCache, list_plans, plan_folder
from hrnet_pose_ros.engines.tensorrt.plan_key import PlanKey
from hrnet_pose_ros.engines.tensorrt.plan_lock import held, open_lock

SUPPORT = Path(__file__).resolve().parents[2] / "support"

NOBODY = 65534


@pytest.fixture(scope="module")
def library() -> TensorRt:
    return library_or_skip()


@pytest.fixture(scope="module")
def onnx() -> bytes:
    return COMPACT.read_bytes()


@pytest.fixture(scope="module")
def key(onnx: bytes, library: TensorRt) -> PlanKey:
    return key_of(onnx, library)


@pytest.fixture(scope="module")
def kept(onnx: bytes, key: PlanKey, library: TensorRt, tmp_path_factory) -> Path:
    """A folder with one good plan; tests copy it."""
    folder = tmp_path_factory.mktemp("kept")
    PlanCache(folder).obtain(key, Builds(onnx, key, library), Heard())
    return folder


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "plans"))


@pytest.fixture
def builds(onnx: bytes, key: PlanKey, library: TensorRt) -> Builds:
    return Builds(onnx, key, library)


class Copies:
    """Gives the plan that was built once for all tests, and counts how often it was asked."""

    def __init__(self, plan: bytes) -> None:
        self.plan, self.count = plan, 0

    def __call__(self, timings: bytes) -> Built:
        self.count += 1
        return Built(self.plan)


@pytest.fixture
def copies(kept: Path, key: PlanKey) -> Copies:
    return Copies((kept / f"{key.stem}.plan").read_bytes())


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everywhere: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach (pytest's own are private)."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_built_once_then_found(tmp_path: Path, key: PlanKey, builds: Builds) -> None:
    cache = PlanCache(tmp_path / "not" / "there")
    first = cache.obtain(key, builds, Heard())
    again = cache.obtain(key, builds, Heard())
    assert (first.built, again.built, builds.count) == (True, False, 1)
    assert first.data == again.data
    assert first.path == again.path == cache.folder / f"{key.stem}.plan"
    assert key.stem.startswith("compact_float16_320x240_p4_")
    names = {path.name for path in cache.folder.iterdir()}
    assert names == {f"{key.stem}{suffix}" for suffix in (".plan", ".json", ".lock")}


def test_sidecar_says_everything(folder: Path, key: PlanKey) -> None:
    values = json.loads((folder / f"{key.stem}.json").read_text())
    assert PlanKey.from_json(values["key"]) == key
    plan = (folder / f"{key.stem}.plan").read_bytes()
    assert values["plan_bytes"] == len(plan)
    assert values["created_by"].startswith("hrnet_pose_ros ")


def shorten(plan: Path) -> None:
    os.truncate(plan, plan.stat().st_size - 1)


def flip_bit(plan: Path) -> None:
    content = bytearray(plan.read_bytes())
    content[len(content) // 2] ^= 1
    plan.write_bytes(content)


def empty(plan: Path) -> None:
    plan.write_bytes(b"")


def remove_plan(plan: Path) -> None:
    plan.unlink()


def remove_sidecar(plan: Path) -> None:
    plan.with_suffix(".json").unlink()


def cut_sidecar(plan: Path) -> None:
    sidecar = plan.with_suffix(".json")
    os.truncate(sidecar, sidecar.stat().st_size // 2)


def other_checksum(plan: Path) -> None:
    change_sidecar(plan, lambda values: values.update(plan_sha256="0" * 64))


def other_format(plan: Path) -> None:
    change_sidecar(plan, lambda values: values.update(format=99))


def no_target(plan: Path) -> None:
    change_sidecar(plan, lambda values: values["key"].pop("target"))


def sidecar_is_a_list(plan: Path) -> None:
    plan.with_suffix(".json").write_text("[1, 2]")


def others_may_write(plan: Path) -> None:
    plan.chmod(0o666)


def change_sidecar(plan: Path, change: Callable[[dict], object]) -> None:
    sidecar = plan.with_suffix(".json")
    values = json.loads(sidecar.read_text())
    change(values)
    sidecar.write_text(json.dumps(values))


DAMAGE = [
    (shorten, "bytes, its sidecar says"),
    (flip_bit, "checksum"),
    (empty, "0 bytes"),
    (remove_plan, "cannot be read: No such file"),
    (remove_sidecar, "no sidecar"),
    (cut_sidecar, "its sidecar is damaged"),
    (other_checksum, "checksum"),
    (other_format, "format 99"),
    (no_target, "no complete key: KeyError 'target'"),
    (sidecar_is_a_list, "its sidecar is damaged"),
    (others_may_write, "can be written by others"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE)
def test_damage_is_named_and_rebuilt(
    damage: Callable[[Path], None],
    words: str,
    folder: Path,
    key: PlanKey,
    copies: Copies,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(folder / f"{key.stem}.plan")
    cache = PlanCache(folder)
    assert cache.obtain(key, copies, Heard()).built
    assert words in caplog.text
    assert key.stem in caplog.text
    assert not cache.obtain(key, copies, Heard()).built  # what was rebuilt is whole
    assert copies.count == 1


OTHERS = [
    ({"onnx_sha256": "0" * 64}, "onnx_sha256 is 000"),
    ({"image_size": (640, 480)}, "image_size is (640, 480), the plan has (320, 240)"),
    ({"persons": (1, 2, 8)}, "persons is (1, 2, 8), the plan has (1, 2, 4)"),
    ({"library": "tensorrt"}, "library is tensorrt, the plan has tensorrt_rtx"),
    ({"library_version": "10.3.0"}, "library_version is 10.3.0, the plan has"),
    ({"workspace_mib": 512}, "workspace_mib is 512"),
    ({"optimization_level": 5}, "optimization_level is 5"),
    ({"target": GpuTarget(("8.6",))}, "it is for any GPU with compute capability 8.9"),
    ({"target": GpuTarget(("8.7",), "Orin", 8)}, "not Orin (compute capability 8.7, 8 multip"),
]


@pytest.mark.parametrize(("wanted", "words"), OTHERS)
def test_plan_for_something_else_is_not_used(
    wanted: dict, words: str, folder: Path, key: PlanKey, caplog: pytest.LogCaptureFixture
) -> None:
    other = replace(key, **wanted)
    assert other.stem != key.stem
    assert PlanCache(folder).obtain(other, lambda timings: Built(b"new"), Heard()).built
    assert words in caplog.text
    assert (folder / f"{key.stem}.plan").is_file()  # old plans stay


@pytest.mark.parametrize(
    ("built_for", "wanted", "serves"),
    [
        (GpuTarget(("8.6", "8.9")), GpuTarget(("8.9",), "NVIDIA RTX 4090"), True),  # ahead of time
        (GpuTarget(("8.6",)), GpuTarget(("8.9",), "NVIDIA RTX 4090"), False),
        (GpuTarget(("8.9",), "NVIDIA RTX 4090"), GpuTarget(("8.9",), "NVIDIA RTX 4090"), True),
        (GpuTarget(("8.9",), "NVIDIA L4"), GpuTarget(("8.9",), "NVIDIA RTX 4090"), False),
        (GpuTarget(("8.9",), "NVIDIA L4"), GpuTarget(("8.9",)), False),
        (GpuTarget(("8.7",), "Orin", 16), GpuTarget(("8.7",), "Orin", 8), False),  # AGX, NX
        (GpuTarget(("8.7",), "Orin", 8), GpuTarget(("8.7",), "Orin", 8), True),
        (GpuTarget(("8.6", "8.9")), GpuTarget(("8.9",)), True),
    ],
)
def test_which_gpus_a_plan_serves(
    built_for: GpuTarget, wanted: GpuTarget, serves: bool, key
) -> None:
    plan = replace(key, target=built_for)
    assert (replace(key, target=wanted).against(plan) == "") is serves


def test_own_plan_comes_before_one_for_any_gpu(folder: Path, key: PlanKey, copies: Copies) -> None:
    own = replace(key, target=GpuTarget(("8.9",), "NVIDIA L4"))
    cache = PlanCache(folder)
    assert not cache.obtain(own, copies, Heard()).built  # the one for any GPU with 8.9
    shutil.copy(folder / f"{key.stem}.plan", folder / f"{own.stem}.plan")
    shutil.copy(folder / f"{key.stem}.json", folder / f"{own.stem}.json")
    change_sidecar(folder / f"{own.stem}.plan", lambda v: v.update(key=own.to_json()))
    assert cache.obtain(own, copies, Heard()).path == folder / f"{own.stem}.plan"


def test_plan_that_the_library_rejects_is_rebuilt(
    folder: Path, key: PlanKey, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    cache = PlanCache(folder)
    plan = cache.obtain(key, copies, Heard())
    assert not plan.built and plan.path is not None
    new = cache.obtain(key, lambda timings: Built(b"new"), Heard(), rejected=plan.sha256)
    assert "the library did not take it" in caplog.text
    assert new.built and new.path is None
    assert plan.path.read_bytes() == plan.data  # a good plan is not lost for another reason
    assert cache.keep(key, new).path == plan.path
    assert plan.path.read_bytes() == b"new"
    assert not cache.obtain(key, copies, Heard()).built


def test_a_replacement_that_cannot_be_kept(
    open_folder: Path, key: PlanKey, caplog: pytest.LogCaptureFixture
) -> None:
    new = PlanCache(open_folder / "plans").obtain(
        key, lambda timings: Built(b"new"), Heard(), rejected="0" * 64
    )
    (open_folder / "plans").chmod(0o555)
    (open_folder / "plans" / f"{key.stem}.lock").unlink()
    with without_privileges():
        assert PlanCache(open_folder / "plans").keep(key, new).path is None
    assert "the plan cannot be kept in" in caplog.text


def test_two_processes_build_once(tmp_path: Path, key: PlanKey, builds: Builds) -> None:
    code = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from hrnet_pose_ros.engines.tensorrt.plan_cache import PlanCache
        from hrnet_pose_ros.engines.tensorrt.library import find_library
        sys.path.insert(0, {str(SUPPORT)!r})
        from tensorrt_fixtures import COMPACT, Builds, Heard, key_of
        onnx, library = COMPACT.read_bytes(), find_library()
        key = key_of(onnx, library)
        build = Builds(onnx, key, library)
        def slowly(timings):
            print("locked", flush=True)
            time.sleep(1.5)
            return build(timings)
        print(PlanCache(Path({str(tmp_path)!r})).obtain(key, slowly, Heard()).built)
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        heard = Heard()
        plan = PlanCache(tmp_path).obtain(key, builds, heard)
        assert other.stdout.read() == "True\n"
    assert not plan.built
    assert builds.count == 0
    assert heard.texts[0] == f"waiting for process {other.pid}, which builds '{key.stem}'"


HOLD = """
import sys, time
from pathlib import Path
from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.tensorrt.plan_lock import held, open_lock
with held(open_lock(Path(sys.argv[1])), "x", BuildWatch()):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock_of_another(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen]]:
    path = tmp_path / "x.lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield path, other
        other.kill()


def test_waiting_is_reported_again_and_again_and_can_be_ended(lock_of_another) -> None:
    path, _ = lock_of_another

    class Patient(Heard):
        def cancelled(self) -> bool:
            super().cancelled()
            return len(self.texts) >= 3

    heard = Patient()
    with (
        pytest.raises(BuildCancelled, match="cancelled while waiting"),
        held(open_lock(path), "x", heard, period=0.2),
    ):
        raise AssertionError("the lock is not ours")
    assert len(heard.texts) >= 3 and heard.asked >= 4  # every 0.1 s, reports every 0.2 s


def test_crash_of_the_holder_frees_the_lock(lock_of_another) -> None:
    path, other = lock_of_another
    other.kill()
    with held(open_lock(path), "x", Heard()) as waited:
        assert waited in (True, False)
    assert path.read_text() == str(os.getpid())


def test_folder_that_cannot_be_written(
    open_folder: Path, key: PlanKey, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    open_folder.chmod(0o555)
    with without_privileges():
        plan = PlanCache(open_folder).obtain(key, copies, Heard())
        with pytest.raises(EngineError, match="is not writable: Permission denied"):
            PlanCache(open_folder, must_keep=True).obtain(key, copies, Heard())
    assert plan.built
    assert plan.path is None
    assert len(plan.data) > 1e6
    assert "is not writable: Permission denied. The plan is built in memory" in caplog.text
    assert "'hrnet_pose compile'" in caplog.text


def test_folder_that_cannot_be_made(
    tmp_path: Path, key: PlanKey, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    plan = PlanCache(tmp_path / "file" / "plans").obtain(key, copies, Heard())
    assert plan.built
    assert "Not a directory" in caplog.text


def test_read_only_folder_with_a_plan_is_used(
    kept: Path, open_folder: Path, key: PlanKey, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(kept, open_folder, dirs_exist_ok=True)
    (open_folder / f"{key.stem}.lock").unlink()
    open_folder.chmod(0o555)
    with without_privileges():
        plan = PlanCache(open_folder).obtain(key, copies, Heard())
    assert not plan.built
    assert caplog.text == ""


def test_folder_that_others_may_write_is_not_trusted(
    folder: Path, key: PlanKey, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    folder.chmod(0o777)
    plan = PlanCache(folder).obtain(key, copies, Heard())
    assert plan.built
    assert plan.path is None
    assert "can be written by others (mode 777), and a plan is code: chmod go-w" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_somebody_else_is_not_trusted(
    folder: Path, key: PlanKey, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    os.chown(folder, NOBODY, NOBODY)
    assert PlanCache(folder).obtain(key, copies, Heard()).path is None
    assert f"belongs to user {NOBODY}, not to this one (0) or to root" in caplog.text


def test_full_disk(folder: Path, key: PlanKey, copies: Copies, caplog) -> None:
    other = replace(key, optimization_level=2)
    before = sorted(folder.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # a plan is larger
    try:
        plan = PlanCache(folder).obtain(other, copies, Heard())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert plan.built
    assert plan.path is None
    assert "cannot be kept" in caplog.text
    assert "File too large" in caplog.text
    left = [path for path in folder.iterdir() if path not in before]
    assert [path.suffix for path in left] == [".lock"]


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/x")
    assert plan_folder() == Path("/var/cache/x/hrnet_pose/plans")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    monkeypatch.setenv("HOME", str(tmp_path))
    assert plan_folder() == tmp_path / ".cache/hrnet_pose/plans"
    assert plan_folder("~/plans") == tmp_path / "plans"


def test_list_of_plans(folder: Path, key: PlanKey, tmp_path: Path) -> None:
    assert list_plans(tmp_path / "missing") == []
    other = replace(key, library_version="1.0")
    shutil.copy(folder / f"{key.stem}.plan", folder / f"{other.stem}.plan")
    shutil.copy(folder / f"{key.stem}.json", folder / f"{other.stem}.json")
    flip_bit(folder / f"{other.stem}.plan")
    (folder / "lonely.plan").write_bytes(b"x")
    plans = {status.path.stem: status for status in list_plans(folder)}
    assert set(plans) == {key.stem, other.stem, "lonely"}
    assert plans[key.stem].key == key
    assert plans[key.stem].size > 1e6
    assert "checksum" in plans[other.stem].reason
    assert plans["lonely"].key is None
    assert not any(plans[stem].usable for stem in (other.stem, "lonely"))
    assert plans[key.stem].usable == (plans[key.stem].reason == "")


def test_log_of_a_hit(
    folder: Path, key: PlanKey, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        PlanCache(folder).obtain(key, copies, Heard())
    assert f"plan from '{folder / key.stem}.plan'" in caplog.text
