# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from street_data import StreetData

from hrnet_pose_ros.coco.annotations import read_annotations
from hrnet_pose_ros.image_files import read_image_file
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.training.crop_cache import PersonPatch, extract_patch, open_cache

INPUT = (96, 128)


def crop_of(picture: PersonPatch, transform: np.ndarray) -> np.ndarray:
    """The crop with ``crop_to_image`` [2, 3], taken from a picture instead of the image."""
    to_patch = picture.image_to_patch @ np.vstack([transform, (0, 0, 1)])
    return warp_crops(picture.pixels, to_patch[None], INPUT)[0]


def copied(street: StreetData, folder: Path) -> Path:
    shutil.copytree(street.folder, folder / "data")
    return folder / "data"


def test_a_crop_from_the_cache_is_the_crop_from_the_image(
    street: StreetData, tmp_path: Path
) -> None:
    cache = open_cache(street.annotations, street.images, INPUT, tmp_path)
    assert sorted(cache.persons) == list(range(8))
    for number, person in enumerate(cache.persons):
        image = read_image_file(
            street.images / street.annotations.image_files[street.annotations.image_index[person]]
        )
        transforms = crop_to_image(street.annotations.boxes[person][None], INPUT)
        # These persons are smaller than the crop, so nothing was shrunk: the same pixels, but
        # for OpenCV's grid of 1/32 px.
        ours = crop_of(cache[number], transforms[0]).astype(int)
        theirs = warp_crops(image, transforms, INPUT)[0].astype(int)
        assert np.abs(ours - theirs).max() <= 8
        assert np.abs(ours - theirs).mean() < 0.2


def test_a_large_person_is_shrunk_and_stays_in_place() -> None:
    y, x = np.mgrid[:900, :700]
    image = np.stack([x / 3, y / 4, (x + y) / 8], axis=2).astype(np.uint8)
    box = np.array([100.0, 60.0, 420.0, 700.0])
    picture = extract_patch(image, box, INPUT)
    assert picture.pixels.shape[0] < 900 / 3
    transform = crop_to_image(box[None], INPUT)
    ours = crop_of(picture, transform[0]).astype(float)
    theirs = warp_crops(image, transform, INPUT)[0].astype(float)
    # The gradients rise by 2.3 and 1.7 levels a crop pixel. 1 level is half a pixel: rounding to
    # whole levels three times. The border, next to black, is left out.
    assert np.abs(ours - theirs)[8:-8, 16:-8].max() <= 1.5
    assert abs((ours - theirs)[8:-8, 16:-8].mean()) < 0.3


def test_a_corrupt_image_is_left_out_and_named(
    street: StreetData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = copied(street, tmp_path)
    files = street.annotations.image_files
    (data / "images" / files[2]).write_bytes(b"no picture")
    (data / "images" / files[5]).unlink()
    annotations = read_annotations(data / "person_keypoints.json")
    for _ in range(2):  # made, then found
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            cache = open_cache(annotations, data / "images", INPUT, tmp_path / "cache")
        lost = [p for p in range(8) if annotations.image_index[p] in (2, 5)]
        assert sorted(cache.persons) == [p for p in range(8) if p not in lost]
        assert len(cache) == 6
        for name in (files[2], files[5]):
            assert f"{name}' cannot be read" in caplog.text


def test_crowds_and_persons_without_joints_or_box_are_left_out(
    street: StreetData, tmp_path: Path
) -> None:
    data = copied(street, tmp_path)
    content = json.loads((data / "person_keypoints.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1].update(keypoints=[0] * 51, num_keypoints=0)
    content["annotations"][2]["bbox"] = [10, 10, 0, 50]
    (data / "person_keypoints.json").write_text(json.dumps(content))
    annotations = read_annotations(data / "person_keypoints.json")
    cache = open_cache(annotations, data / "images", INPUT, tmp_path / "cache")
    assert sorted(cache.persons) == [3, 4, 5, 6, 7]


def test_changed_annotations_have_their_own_cache(street: StreetData, tmp_path: Path) -> None:
    data = copied(street, tmp_path)
    path = data / "person_keypoints.json"
    first = open_cache(read_annotations(path), data / "images", INPUT, tmp_path / "cache")
    content = json.loads(path.read_text())
    content["annotations"] = content["annotations"][:3]
    path.write_text(json.dumps(content))
    second = open_cache(read_annotations(path), data / "images", INPUT, tmp_path / "cache")
    assert (len(first), len(second)) == (8, 3)


def test_an_interrupted_cache_is_made_again(street: StreetData, tmp_path: Path) -> None:
    open_cache(street.annotations, street.images, INPUT, tmp_path)
    (place,) = tmp_path.iterdir()
    (place / "index.npz").unlink()  # what is written last
    (place / "pixels.bin").write_bytes(b"half")
    cache = open_cache(street.annotations, street.images, INPUT, tmp_path)
    assert len(cache) == 8
    assert cache[7].pixels.any()


@pytest.mark.parametrize("name", ["index.npz", "pixels.bin"])
def test_a_damaged_cache_is_made_again(
    name: str, street: StreetData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_cache(street.annotations, street.images, INPUT, tmp_path)
    (place,) = tmp_path.iterdir()
    content = (place / name).read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"PK\x03\x04" + content[4:200]):
        (place / name).write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            cache = open_cache(street.annotations, street.images, INPUT, tmp_path)
        assert "is damaged" in caplog.text and str(place) in caplog.text
        assert len(cache) == 8 and cache[7].pixels.any()


def test_a_truncated_image_is_left_out(
    street: StreetData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = copied(street, tmp_path)
    name = street.annotations.image_files[2]
    content = (data / "images" / name).read_bytes()
    (data / "images" / name).write_bytes(content[: len(content) // 4])
    annotations = read_annotations(data / "person_keypoints.json")
    with caplog.at_level(logging.WARNING):
        cache = open_cache(annotations, data / "images", INPUT, tmp_path / "cache")
    assert len(cache) == 7
    assert f"{name}' cannot be read as an image: it ends too early" in caplog.text


def test_data_without_a_readable_image_are_an_error(street: StreetData, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"contains no person to train on: 8 annotations.*8 images"
    ):
        open_cache(street.annotations, tmp_path / "elsewhere", INPUT, tmp_path / "cache")


def test_an_image_is_read_as_rgb_and_not_turned(tmp_path: Path) -> None:
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, :, 2] = 200  # OpenCV's red
    cv2.imwrite(str(tmp_path / "red.png"), image)
    read = read_image_file(tmp_path / "red.png")
    assert read[0, 0].tolist() == [200, 0, 0]


def test_a_cache_goes_to_another_process_as_its_place(street: StreetData, tmp_path: Path) -> None:
    cache = open_cache(street.annotations, street.images, INPUT, tmp_path)
    sent = pickle.dumps(cache)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent)[3].pixels, cache[3].pixels)
