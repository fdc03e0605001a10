# SPDX-License-Identifier: Apache-2.0
"""Fetch a published checkpoint into a models folder: complete and right, or not at all."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.model_files.checksums import sha256_of
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import CHECKPOINT
from hrnet_pose_ros.model_files.zoo import ZooEntry

ATTEMPTS = 3
TIMEOUT_S = 30.0  # without a byte from the server
CHUNK_BYTES = 1 << 16


class FetchError(RuntimeError):
    """A file could not be fetched; nothing of it was kept."""


def fetch(
    entry: ZooEntry,
    folder: Path,
    *,
    local: Path | None = None,
    base_address: str | None = None,
    timeout_s: float = TIMEOUT_S,
    say: Callable[[str], None] = print,
) -> Path:
    """Bring a zoo entry's checkpoint as ``NAME.pth`` into a folder and check its checksum.

    A file that is there and right stays; one that is not what it should be is replaced. The new
    file gets its name only when it is complete and right.

    Parameters
    ----------
    entry
        What to fetch.
    folder
        Where to; made where it does not exist.
    local
        A file to copy instead of a download.
    base_address
        Address of the folder to download from; None takes the entry's source's.
    timeout_s
        Seconds without a byte after which a server counts as silent.
    say
        Takes one line about each event.

    Raises
    ------
    FetchError
        There is no address, the server refuses, is silent or cuts the connection each time, or
        what came is not the published file.
    ModelError
        The local file is not the published one.
    OSError
        The local file or the folder cannot be used.
    ImportError
        The package pooch is not installed.
    """
    path = folder / (entry.name + CHECKPOINT)
    if path.exists():
        try:
            entry.check(sha256_of(path), path)
        except ModelError as error:
            say(f"{error}: fetching it again")
        else:
            if entry.sha256 is not None or local is None:
                say(f"'{path}' is there already")
                return path
    if local is not None and not local.is_file():
        raise FileNotFoundError(f"no file '{local}' to take {entry.name} from")
    address = "" if local is not None else _address(entry, base_address)
    with replacing(path) as part:
        if local is not None:
            shutil.copyfile(local, part)
            entry.check(sha256_of(part), local)
        else:
            _download_checked(entry, address, part, timeout_s, say)
    return path


def _address(entry: ZooEntry, base_address: str | None) -> str:
    base = base_address or entry.source.address
    if base is None:
        raise FetchError(
            f"there is no address for {entry.name}: get {entry.file} with a browser "
            f"({entry.source.page}), then 'hrnet_pose fetch {entry.name} --from FILE'"
        )
    return base.rstrip("/") + "/" + entry.file


class _TryAgain(FetchError):
    """A fault that may be gone the next time."""


def _download_checked(
    entry: ZooEntry, address: str, part: Path, timeout_s: float, say: Callable[[str], None]
) -> None:
    """Download until the file is right; what may be the line's fault is tried again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _download(address, part, entry.name, timeout_s)
            try:
                return entry.check(sha256_of(part), address)
            except ModelError as error:
                raise _TryAgain(str(error)) from None
        except _TryAgain as error:
            if attempt == ATTEMPTS:
                raise FetchError(f"{error}; tried {ATTEMPTS} times, nothing was kept") from error
            say(f"{error}; starting again ({attempt + 1} of {ATTEMPTS})")


def _download(address: str, part: Path, name: str, timeout_s: float) -> None:
    """One attempt, with a progress bar on stderr.

    Raises `FetchError` where the server refuses, `_TryAgain` where it or the line failed.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"fetch needs pooch ({error}): pip install 'hrnet_pose_ros[fetch]'"
        ) from error
    from requests.exceptions import HTTPError, RequestException

    interval = 0.1 if sys.stderr.isatty() else 5.0
    # pooch sets the true total; a bar of total 0 would be none to it.
    with tqdm(
        desc=name, total=1, unit="B", unit_scale=True, mininterval=interval, dynamic_ncols=True
    ) as bar:
        download = pooch.HTTPDownloader(bar, CHUNK_BYTES, timeout=timeout_s)
        try:
            download(address, str(part), None)
        except HTTPError as error:
            response = error.response
            assert response is not None  # HTTPError says what the server answered
            kind = _TryAgain if response.status_code >= 500 else FetchError
            raise kind(
                f"the server answers {response.status_code} ({response.reason}) for {address}"
            ) from error
        except RequestException as error:
            kind = FetchError if isinstance(error, ValueError) else _TryAgain  # no such address
            raise kind(f"the download of {address} failed: {error}") from error
