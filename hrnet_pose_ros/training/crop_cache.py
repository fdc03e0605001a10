# SPDX-License-Identifier: Apache-2.0
"""Decoded image patches of persons in one file on disk, so that few CPU cores can feed a network.

Decoding a whole image for every person and epoch costs more than a training step of a small
network. Here the surroundings of each person are decoded once, cut to the area that an augmented
crop can cover, downscaled if they have more pixels than any crop uses, and written one after
another; a memory map reads them back.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.image_files import ImageFileError, UnfitImageError, read_annotated_image
from hrnet_pose_ros.pose.boxes import crop_to_image, usable_boxes
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.training.augmentation import MAX_SCALE

FORMAT = 2
# Range of the scale augmentation.
SMALLEST, LARGEST = 1 - MAX_SCALE, 1 + MAX_SCALE
# Number of images that are decoded ahead of the writer.
AHEAD = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PersonPatch:
    """A person's surroundings: ``pixels`` uint8 ``[h, w, 3]`` RGB (read only), and float64
    ``image_to_patch [2, 3]`` from image pixels."""

    pixels: np.ndarray
    image_to_patch: np.ndarray


class CropCacheError(ValueError):
    """The files of a cache are damaged; the message names them."""


class CropCache:
    """The patches of the usable persons of an annotation file.

    Attributes
    ----------
    persons
        int64 ``[M]``: indices of the persons in the annotations, by image. Crowds, persons without
        a labelled joint or usable box, and corrupt images are left out.
    skipped
        Why images could not be read, one sentence each with the path.

    Raises
    ------
    CropCacheError
        A file of the cache is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            with np.load(folder / "index.npz") as index:
                self.skipped: tuple[str, ...] = tuple(index["skipped"].tolist())
                self.persons: np.ndarray = index["persons"]
                self._starts: np.ndarray = index["starts"]
                self._shapes: np.ndarray = index["shapes"]
                self._transforms: np.ndarray = index["transforms"]
            self._pixels = np.memmap(folder / "pixels.bin", np.uint8, mode="r")
        except Exception as error:  # a damaged archive raises whatever its bytes lead to
            raise CropCacheError(f"the crop cache '{folder}' is damaged: {error}") from error
        needed = 3 * int(self._shapes.prod(axis=1).sum())
        if len(self._pixels) != needed or len(self._transforms) != len(self.persons):
            raise CropCacheError(
                f"the crop cache '{folder}' is damaged: 'pixels.bin' has {len(self._pixels)} "
                f"bytes, expected {needed}"
            )

    def __reduce__(self) -> tuple[type[CropCache], tuple[Path]]:
        return CropCache, (self._folder,)  # another process maps the file again

    def __len__(self) -> int:
        return len(self.persons)

    def __getitem__(self, number: int) -> PersonPatch:
        """The patch of person ``persons[number]``."""
        height, width = self._shapes[number]
        start = self._starts[number]
        pixels = self._pixels[start : start + 3 * height * width].reshape(height, width, 3)
        return PersonPatch(pixels, self._transforms[number])


def open_cache(
    annotations: PersonAnnotations,
    images: Path,
    input_size: tuple[int, int],
    folder: Path,
    threads: int | None = None,
) -> CropCache:
    """The cache of a data set for crops up to ``input_size``, created if it does not exist.

    It is stored in a sub-folder of ``folder`` whose name depends on all inputs. Images that cannot
    be read are skipped and logged. A damaged cache is made again.

    Raises
    ------
    ValueError
        An image is not of the annotated size or turned (`read_annotated_image`), or no person can
        be used.
    """
    place = folder / _name(annotations, images, input_size)
    cache = None
    if (place / "index.npz").is_file():
        try:
            cache = CropCache(place)
        except CropCacheError as error:
            log.warning("%s; it is made again", error)
    if cache is None:
        _make(annotations, images, input_size, place, threads or os.cpu_count() or 1)
        cache = CropCache(place)
    for reason in cache.skipped:
        log.warning("%s; its persons are skipped", reason)
    return cache


def _name(annotations: PersonAnnotations, images: Path, input_size: tuple[int, int]) -> str:
    status = annotations.path.stat()
    facts = json.dumps(
        [FORMAT, str(annotations.path.resolve()), status.st_size, status.st_mtime_ns]
        + [str(images.resolve()), *input_size]
    )
    width, height = input_size
    return f"{height}x{width}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def _make(
    annotations: PersonAnnotations,
    images: Path,
    input_size: tuple[int, int],
    place: Path,
    threads: int,
) -> None:
    wanted = trainable_persons(annotations)
    by_image: dict[int, list[int]] = {}
    for person in wanted:
        by_image.setdefault(int(annotations.image_index[person]), []).append(int(person))

    skipped: list[str] = []

    def patches_of(image: int) -> list[tuple[int, PersonPatch]]:
        path = images / annotations.image_files[image]
        try:
            pixels = read_annotated_image(path, annotations.image_sizes[image])
        except UnfitImageError:  # of another size or turned: the data set does not fit together
            raise
        except ImageFileError as error:
            skipped.append(str(error))
            return []
        boxes = annotations.boxes
        return [(p, extract_patch(pixels, boxes[p], input_size)) for p in by_image[image]]

    persons, starts, shapes, transforms = [], [], [], []
    end = 0
    with (
        replacing(place / "pixels.bin") as partial,
        partial.open("wb") as file,
        ThreadPoolExecutor(threads) as pool,
    ):
        found_in_order = _in_order(pool, patches_of, sorted(by_image))
        for found in progress(f"decoding {images}", "image", len(by_image), found_in_order):
            for person, patch in found:
                persons.append(person)
                starts.append(end)
                shapes.append(patch.pixels.shape[:2])
                transforms.append(patch.image_to_patch)
                file.write(np.ascontiguousarray(patch.pixels).data)
                end += patch.pixels.size
        if not persons:
            raise ValueError(
                f"'{annotations.path}' with images in '{images}' contains no person to train on: "
                f"{len(annotations)} annotations, {len(wanted)} of persons with labelled joints "
                f"and a box, {len(skipped)} images that cannot be read ({', '.join(skipped[:3])})"
            )
    with replacing(place / "index.npz") as index:  # written last: a cache with an index is complete
        np.savez(
            index,
            persons=np.array(persons, np.int64),
            starts=np.array(starts, np.int64),
            shapes=np.array(shapes, np.int64),
            transforms=np.array(transforms),
            skipped=np.array(sorted(skipped), str),
        )


def _in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[int], list[tuple[int, PersonPatch]]],
    items: Sequence[int],
) -> Iterator[list[tuple[int, PersonPatch]]]:
    """``pool.map`` with a bounded number of pending results, because patches are large."""
    waiting: deque[Future[list[tuple[int, PersonPatch]]]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def trainable_persons(annotations: PersonAnnotations) -> np.ndarray:
    """int64 ``[M]``: indices of persons, not crowds, with a labelled joint and a usable box."""
    sizes = annotations.image_sizes[annotations.image_index]
    usable = np.array(
        [
            bool(usable_boxes(box[None], size)[0])
            for box, size in zip(annotations.boxes, sizes, strict=True)
        ],
        bool,
    )
    return np.flatnonzero(usable & ~annotations.crowd & annotations.labelled.any(axis=1))


def extract_patch(image: np.ndarray, box: np.ndarray, input_size: tuple[int, int]) -> PersonPatch:
    """The part of ``image`` that an augmented crop of ``box`` can show, at a sufficient resolution.

    This is a square around the box centre as wide as the diagonal of the largest crop, so that the
    crop can be rotated. If the smallest crop has more than one image pixel per crop pixel, the
    patch is downscaled to one.
    """
    width, height = input_size
    transform = crop_to_image(box[None], input_size)[0]
    pixel = transform[0, 0]  # image pixels per crop pixel
    centre = box[:2] + box[2:] / 2
    reach = LARGEST * pixel * np.hypot(width, height) / 2 + 2
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach), (image.shape[1], image.shape[0])).astype(int)
    high = np.maximum(high, low + 1)
    part = image[low[1] : high[1], low[0] : high[0]]
    shrink = min(1.0, 1 / (SMALLEST * pixel))
    if shrink < 1:
        size = np.maximum(np.round(np.array(part.shape[1::-1]) * shrink), 1).astype(int)
        zoom = size / np.array(part.shape[1::-1])
        part = cv2.resize(part, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    else:
        zoom = np.ones(2)
    image_to_patch = np.zeros((2, 3))
    image_to_patch[0, 0], image_to_patch[1, 1] = zoom
    image_to_patch[:, 2] = (0.5 - low) * zoom - 0.5  # pixel centres are at integers
    return PersonPatch(part, image_to_patch)
