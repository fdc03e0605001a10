# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from hrnet_pose_ros.skeleton import (
    COCO17,
    ROLES,
    SkeletonDefinition,
    SkeletonError,
    find_skeleton,
    read_skeleton,
    shipped_skeletons,
    skeletons_with,
)

JOINTS = {"coco17": 17, "crowdpose14": 14, "halpe26": 26, "mpii16": 16, "wholebody133": 133}


@st.composite
def definitions(draw: st.DrawFn) -> SkeletonDefinition:
    """Any valid definition of 1 to 40 joints."""
    count = draw(st.integers(1, 40))
    order = draw(st.permutations(range(count)))
    pairs = draw(st.integers(0, count // 2))
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    limbs = draw(st.lists(ends.filter(lambda e: e[0] != e[1]), max_size=20, unique_by=frozenset))
    chosen = draw(st.lists(st.sampled_from(ROLES), unique=True, max_size=min(count, len(ROLES))))
    some = st.lists(st.integers(0, count - 1), unique=True).map(tuple)
    return SkeletonDefinition(
        name=draw(st.from_regex(r"[a-z0-9_.-]{1,12}", fullmatch=True)),
        joint_names=tuple(f"joint {n}" for n in range(count)),
        oks_sigmas=tuple(draw(st.lists(st.floats(1e-3, 1), min_size=count, max_size=count))),
        mirror_pairs=tuple(zip(order[:pairs], order[pairs : 2 * pairs], strict=True)),
        limbs=tuple(limbs),
        roles=dict(zip(chosen, order, strict=False)),
        details=draw(some),
        lower_body=draw(some),
    )


@settings(max_examples=40, deadline=None)
@given(definitions())
def test_json_keeps_a_definition(definition: SkeletonDefinition) -> None:
    assert SkeletonDefinition.from_json(definition.to_json()) == definition


@settings(max_examples=40, deadline=None)
@given(definitions())
def test_mirroring_twice_is_nothing(definition: SkeletonDefinition) -> None:
    mirrored = definition.mirrored
    np.testing.assert_array_equal(mirrored[mirrored], np.arange(definition.joints))
    assert (mirrored != np.arange(definition.joints)).sum() == 2 * len(definition.mirror_pairs)


@settings(max_examples=15, deadline=None)
@given(definitions())
def test_a_definition_reads_its_own_file(definition: SkeletonDefinition) -> None:
    names = definition.joint_names
    content: dict[str, Any] = {
        "name": definition.name,
        "joints": [
            {
                "name": name,
                "sigma": sigma,
                "detail": joint in definition.details,
                "lower": joint in definition.lower_body,
            }
            for joint, (name, sigma) in enumerate(zip(names, definition.oks_sigmas, strict=True))
        ],
        "mirror_pairs": [[names[a], names[b]] for a, b in definition.mirror_pairs],
        "limbs": [[names[a], names[b]] for a, b in definition.limbs],
        "roles": {role: names[joint] for role, joint in definition.roles.items()},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.yaml"
        with path.open("w") as file:
            YAML(typ="safe").dump(content, file)
        read = read_skeleton(path)
    ordered = {"details": tuple(sorted(definition.details))}
    ordered["lower_body"] = tuple(sorted(definition.lower_body))
    assert read == dataclasses.replace(definition, **ordered)


def test_shipped_ones() -> None:
    assert {name: find_skeleton(name).joints for name in shipped_skeletons()} == JOINTS
    assert find_skeleton("coco17") == COCO17
    assert skeletons_with(133) == ["wholebody133"] and skeletons_with(21) == []


@pytest.mark.parametrize("name", JOINTS)
def test_shipped_ones_are_symmetric(name: str) -> None:
    """Left and right have the same sigmas, limbs and marks, and names say which is which."""
    skeleton = find_skeleton(name)
    mirrored = skeleton.mirrored
    if name != "wholebody133":  # its published sigmas are measured, left and right apart
        np.testing.assert_array_equal(skeleton.sigmas, skeleton.sigmas[mirrored])
    limbs = {frozenset(limb) for limb in skeleton.limbs}
    assert limbs == {frozenset(mirrored[list(limb)].tolist()) for limb in skeleton.limbs}
    for marked in (skeleton.details, skeleton.lower_body):
        assert {int(mirrored[joint]) for joint in marked} == set(marked)
    for left, right in skeleton.mirror_pairs:
        a, b = skeleton.joint_names[left], skeleton.joint_names[right]
        assert a.replace("left_", "right_") == b or a.startswith("face-")
    sides = [n for n in skeleton.joint_names if n.startswith(("left_", "right_"))]
    paired = {skeleton.joint_names[joint] for pair in skeleton.mirror_pairs for joint in pair}
    assert set(sides) <= paired


def test_joints_that_they_share_are_in_the_same_roles() -> None:
    hips = {"left_hip", "right_hip", "left_ankle", "right_ankle"}
    for name in JOINTS:
        skeleton = find_skeleton(name)
        assert hips <= skeleton.roles.keys()
        assert all(skeleton.joint_names[j] == role for role, j in skeleton.roles.items())
    assert find_skeleton("wholebody133").joint_names[:17] == COCO17.joint_names
    assert {"left_heel", "right_big_toe"} <= find_skeleton("halpe26").roles.keys()


ARM = """
name: arm
joints:
  - {name: shoulder, sigma: 0.08}
  - {name: left_hand, sigma: 0.06}
  - {name: right_hand, sigma: 0.06}
mirror_pairs: [[left_hand, right_hand]]
limbs: [[shoulder, left_hand], [shoulder, right_hand]]
roles: {nose: shoulder}
"""


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "arm.yaml"
    path.write_text(ARM)
    arm = find_skeleton(path)
    assert arm == read_skeleton(path)
    assert arm.mirrored.tolist() == [0, 2, 1] and arm.roles == {"nose": 0}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: arm", "name: an arm", "its name must consist of letters.*'an arm'"),
        ("left_hand, sigma", "shoulder, sigma", "0 and 1 are both called 'shoulder'"),
        ("sigma: 0.08", "sigma: 0", "sigma of 'shoulder' must be above 0"),
        ("sigma: 0.08", "sigma: wide", r"joints\[0\].sigma must be a number, got 'wide'"),
        (", sigma: 0.08", "", r"joints\[0\]: 'sigma' must be given"),
        ("[[left_hand, right_hand]]", "[[left_hand, left_hand]]", "pair of 'left_hand' with"),
        ("[[left_hand, right_hand]]", "[[left_hand]]", r"must be pairs of names, got \['left_h"),
        (
            "[[left_hand, right_hand]]",
            "[[left_hand, right_hand], [shoulder, left_hand]]",
            "'left_hand' is in more than one of mirror_pairs",
        ),
        ("[[left_hand, right_hand]]", "[[left_hnd, right_hand]]", "nearest name is 'left_hand'"),
        ("[shoulder, right_hand]]", "[left_hand, shoulder]]", "'shoulder' twice"),
        ("[shoulder, right_hand]]", "[shoulder, elbow]]", "limbs name 'elbow', which is not a"),
        ("nose: shoulder", "nos: shoulder", "no role 'nos'; the nearest is 'nose'"),
        ("nose: shoulder", "nose: shoulder, left_heel: shoulder", "more than one of roles"),
        ("limbs:", "limb:", "unknown key 'limb'; the nearest key is 'limbs'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in ARM
    path = tmp_path / "arm.yaml"
    path.write_text(ARM.replace(old, new))
    with pytest.raises(SkeletonError, match=words) as error:
        read_skeleton(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"oks_sigmas": (0.1,) * 16}, "17 joints and 16 sigmas"),
        ({"limbs": ((0, 17),)}, "limbs contain joint 17; there are joints 0 to 16"),
        ({"mirror_pairs": ((-1, 2),)}, "mirror_pairs contain joint -1"),
        ({"roles": {"nose": 99}}, "roles contain joint 99"),
        ({"details": (3, 3)}, "details contain a joint twice"),
        ({"joint_names": ()}, "must have 1 to 65535 joints, got 0"),
    ],
)
def test_contradictions_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SkeletonError, match=words):
        dataclasses.replace(COCO17, **change)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(SkeletonError, match="no skeleton 'coco'; there are coco17, crowdpose14"):
        find_skeleton("coco")
    with pytest.raises(SkeletonError, match=r"nowhere\.yaml' cannot be read"):
        find_skeleton("nowhere.yaml")
    with pytest.raises(SkeletonError, match=r"must contain.*joint_names"):
        SkeletonDefinition.from_json({"name": "x"})


def test_differences_are_of_names_and_order() -> None:
    assert COCO17.differences(dataclasses.replace(COCO17, name="mine", limbs=())) == ""
    turned = dataclasses.replace(COCO17, joint_names=COCO17.joint_names[::-1])
    assert COCO17.differences(turned) == "the same joints in another order"
    found = COCO17.differences(find_skeleton("halpe26"))
    assert found == "9 joints only in 'halpe26' (head, neck, hip, left_big_toe, …)"
