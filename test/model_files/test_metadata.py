# SPDX-License-Identifier: Apache-2.0
"""Model metadata: written and read back; anything else is refused with its name."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata, usual_target_sigma

METADATA = ModelMetadata("m", "hrnet_w32", 192, 256, 2.0, True, "ab" * 32, "0.1.0")
UDP = dataclasses.replace(METADATA, crop="udp", flip_shift=False)

# Not read, or absent from the files of earlier versions.
OPTIONAL = ("mean", "std", "skeleton_definition", "crop")


def test_round_trip() -> None:
    foreign = {"author": "someone", "hrnet_pose.new_key": "anything"}
    for metadata in (METADATA, dataclasses.replace(METADATA, colour_order="bgr"), UDP):
        assert ModelMetadata.from_properties(metadata.to_properties() | foreign) == metadata


def test_a_file_older_than_the_crop_rule_follows_the_references() -> None:
    properties = METADATA.to_properties()
    del properties["hrnet_pose.crop"]
    assert ModelMetadata.from_properties(properties) == METADATA


@pytest.mark.parametrize(
    "key", sorted(METADATA.to_properties().keys() - {f"hrnet_pose.{name}" for name in OPTIONAL})
)
def test_missing_key_is_named(key: str) -> None:
    properties = METADATA.to_properties()
    del properties[key]
    with pytest.raises(ModelError, match=rf"no '{key}'.*hrnet_pose export"):
        ModelMetadata.from_properties(properties)


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("format_version", "2", "format_version.* is 2"),
        ("skeleton", '"halpe26"', "halpe26"),
        ("joint_names", '["nose"]', "joint_names"),
        ("colour_order", '"grb"', "colour order must be one of rgb, bgr; got 'grb'"),
        ("input_size", "[192]", "width, height"),
        ("input_size", "[192, 256.5]", "width, height"),
        ("input_size", "[100, 256]", "multiples of 32.*100x256"),
        ("target_sigma", '"two"', "unreadable"),
        ("target_sigma", "5", "sigma"),
        ("crop", '"dark"', "crop rule must be one of reference, udp; got 'dark'"),
        ("crop", '"udp"', "UDP need no shift in a flip test"),  # the file shifts
        ("crop", "1", "crop.* is unreadable: '1'"),
        ("name", "not JSON", "unreadable.*not JSON"),
    ],
)
def test_wrong_value_is_named(key: str, text: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        ModelMetadata.from_properties(METADATA.to_properties() | {f"hrnet_pose.{key}": text})


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, True),
        ({"name": "of_an_older_export", "package_version": "0.0.1"}, True),
        ({"checkpoint_sha256": "cd" * 32}, False),
        ({"input_width": 288, "input_height": 384}, False),
        ({"target_sigma": 3.0}, False),
        ({"flip_shift": False}, False),
        ({"colour_order": "bgr"}, False),
        ({"crop": "udp", "flip_shift": False}, False),
        ({"quantized": True}, False),
    ],
)
def test_calibrations_are_taken_from_the_same_weights_only(
    changes: dict[str, Any], taken: bool
) -> None:
    other = dataclasses.replace(METADATA, calibrations={"quarter": {"a": 1}}, **changes)
    found = METADATA.with_calibrations_of(other)
    assert found == dataclasses.replace(
        METADATA, calibrations={"quarter": {"a": 1}} if taken else {}
    )
    assert METADATA.with_calibrations_of(None) is METADATA


def test_sizes() -> None:
    large = dataclasses.replace(METADATA, input_width=288, input_height=384)
    assert (large.input_size, large.heatmap_size) == ((288, 384), (72, 96))
    assert (usual_target_sigma((192, 256)), usual_target_sigma((288, 384))) == (2.0, 3.0)
