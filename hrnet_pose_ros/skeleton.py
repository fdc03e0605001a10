# SPDX-License-Identifier: Apache-2.0
"""Skeleton definitions: which joints a model has, and everything that depends on that.

A definition belongs to a model: it is in the metadata of the model's file, and from there it
reaches poses, messages, drawings and evaluations. `COCO17` is the default. The shipped definitions
are the files in ``skeletons/``; your own is a YAML file with the same keys:

joints
    A list of ``{name, sigma}``, in the order of the network's heatmaps. ``sigma`` is that of the
    object key point similarity (OKS), whose constant k is twice the sigma. ``detail: true`` marks
    joints that lie close together, as those of hands and faces: they are drawn thinner.
    ``lower: true`` marks those of hips, legs and feet: training crops half bodies by it.
mirror_pairs
    Pairs of names, left before right: joints that are exchanged when a person is mirrored.
limbs
    Pairs of names that a drawing connects.
roles
    Optional: names of joints by `ROLES`, where a joint has another name than its role. A joint that
    is called like a role has that role.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.yaml_config import ConfigError, from_mapping, read_yaml

# What code that works with every skeleton can ask for.
ROLES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("left_heel", "right_heel"),
    *("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe"),
)

# Joint indices are uint16 in messages.
MAX_JOINTS = 65535

_FOLDER = Path(__file__).absolute().parent / "skeletons"


class SkeletonError(ValueError):
    """A skeleton definition is missing or invalid; the message names the key and the value."""


@dataclass(frozen=True)
class SkeletonDefinition:
    """The joints of a model. J joints; every array with a joint axis is in their order.

    Attributes
    ----------
    name
        Letters, digits, ``_``, ``-`` and ``.``.
    joint_names
        J different names.
    oks_sigmas
        J numbers above 0: the sigma of each joint in the OKS (k is twice the sigma).
    mirror_pairs
        (left, right) joints that are exchanged when a person is mirrored.
    limbs
        Pairs of joints that a drawing connects.
    roles
        Joints by role; keys are some of `ROLES`.
    details
        Joints that lie close together, as those of hands and faces; they are drawn thinner.
    lower_body
        Joints of hips, legs and feet; only training uses it.

    Raises
    ------
    SkeletonError
        A value contradicts the others; the message names it.

    Examples
    --------
    >>> from hrnet_pose_ros.skeleton import COCO17, find_skeleton
    >>> COCO17.joints, COCO17.joint_names[9], COCO17.roles["left_ankle"]
    (17, 'left_wrist', 15)
    >>> find_skeleton("halpe26").roles["left_heel"]
    24
    >>> SkeletonDefinition("arm", ("shoulder", "hand"), (0.08, 0.06), limbs=((0, 2),))
    Traceback (most recent call last):
    hrnet_pose_ros.skeleton.SkeletonError: skeleton 'arm': limbs contain joint 2; there are joints \
0 to 1
    """

    name: str
    joint_names: tuple[str, ...]
    oks_sigmas: tuple[float, ...]
    mirror_pairs: tuple[tuple[int, int], ...] = ()
    limbs: tuple[tuple[int, int], ...] = ()
    roles: Mapping[str, int] = field(default_factory=dict, hash=False)
    details: tuple[int, ...] = ()
    lower_body: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        def demand(holds: bool, problem: str) -> None:
            if not holds:
                raise SkeletonError(f"skeleton '{self.name}': {problem}")

        demand(
            re.fullmatch(r"[\w.-]+", self.name) is not None,
            f"its name must consist of letters, digits, '_', '-' and '.', got {self.name!r}",
        )
        count = len(self.joint_names)
        demand(0 < count <= MAX_JOINTS, f"it must have 1 to {MAX_JOINTS} joints, got {count}")
        for joint, one in enumerate(self.joint_names):
            demand(bool(one.strip()), f"joint {joint} has no name")
            first = self.joint_names.index(one)
            demand(first == joint, f"joints {first} and {joint} are both called '{one}'")
        sigmas = len(self.oks_sigmas)
        demand(sigmas == count, f"it has {count} joints and {sigmas} sigmas")
        for one, sigma in zip(self.joint_names, self.oks_sigmas, strict=True):
            demand(0 < sigma < np.inf, f"the sigma of '{one}' must be above 0, got {sigma}")
        self._check_pairs("mirror_pairs", self.mirror_pairs, demand)
        self._check_pairs("limbs", self.limbs, demand)
        mirrored: set[int] = set()
        for pair in self.mirror_pairs:
            for joint in pair:
                one = self.joint_names[joint]
                demand(joint not in mirrored, f"'{one}' is in more than one of mirror_pairs")
                mirrored.add(joint)
        seen: set[frozenset[int]] = set()
        for a, b in self.limbs:
            both = f"'{self.joint_names[a]}' and '{self.joint_names[b]}'"
            demand(frozenset((a, b)) not in seen, f"limbs connect {both} twice")
            seen.add(frozenset((a, b)))
        for role, joint in self.roles.items():
            near = difflib.get_close_matches(role, ROLES, 1, cutoff=0)[0]
            demand(role in ROLES, f"there is no role '{role}'; the nearest is '{near}'")
            self._check_joint("roles", joint, demand)
        demand(
            len(set(self.roles.values())) == len(self.roles), "a joint has more than one of roles"
        )
        for what, chosen in (("details", self.details), ("lower_body", self.lower_body)):
            for joint in chosen:
                self._check_joint(what, joint, demand)
            demand(len(set(chosen)) == len(chosen), f"{what} contain a joint twice")

    def _check_joint(self, what: str, joint: int, demand: Any) -> None:
        last = len(self.joint_names) - 1
        inside = type(joint) is int and 0 <= joint <= last
        demand(inside, f"{what} contain joint {joint}; there are joints 0 to {last}")

    def _check_pairs(self, what: str, pairs: Sequence[tuple[int, int]], demand: Any) -> None:
        for pair in pairs:
            demand(len(pair) == 2, f"{what} must be pairs of joints, got {list(pair)}")
            for joint in pair:
                self._check_joint(what, joint, demand)
            one = self.joint_names[pair[0]]
            demand(pair[0] != pair[1], f"{what} contain a pair of '{one}' with itself")

    @property
    def joints(self) -> int:
        """The number of joints, J."""
        return len(self.joint_names)

    @cached_property
    def mirrored(self) -> np.ndarray:
        """int64 ``[J]``: the counterpart of each joint in a mirrored person."""
        order = np.arange(self.joints)
        for left, right in self.mirror_pairs:
            order[left], order[right] = right, left
        return order

    @cached_property
    def sigmas(self) -> np.ndarray:
        """float64 ``[J]``: `oks_sigmas` as an array."""
        return np.array(self.oks_sigmas)

    def differences(self, other: SkeletonDefinition) -> str:
        """How the joints of another definition differ from these, in words; empty if they do not.

        Only names and order count: they decide what a number means.
        """
        if self.joint_names == other.joint_names:
            return ""
        mine, theirs = set(self.joint_names), set(other.joint_names)
        if mine == theirs:
            return "the same joints in another order"
        parts = [
            f"{len(names)} joints only in '{one.name}' ({_shortened(names)})"
            for one, names in (
                (self, [n for n in self.joint_names if n not in theirs]),
                (other, [n for n in other.joint_names if n not in mine]),
            )
            if names
        ]
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the definition in JSON types; `from_json` restores it."""
        return {
            "name": self.name,
            "joint_names": list(self.joint_names),
            "oks_sigmas": list(self.oks_sigmas),
            "mirror_pairs": [list(pair) for pair in self.mirror_pairs],
            "limbs": [list(limb) for limb in self.limbs],
            "roles": dict(self.roles),
            "details": list(self.details),
            "lower_body": list(self.lower_body),
        }

    @classmethod
    def from_json(cls, values: Any) -> SkeletonDefinition:
        """Restore what `to_json` returned; SkeletonError if it is something else."""
        keys = set(COCO17.to_json())
        if not isinstance(values, Mapping) or set(values) != keys:
            found = sorted(values) if isinstance(values, Mapping) else values
            raise SkeletonError(
                f"a skeleton definition must contain {sorted(keys)}, this one contains {found!r}"
            )
        try:
            return cls(
                name=str(values["name"]),
                joint_names=tuple(str(name) for name in values["joint_names"]),
                oks_sigmas=tuple(float(sigma) for sigma in values["oks_sigmas"]),
                mirror_pairs=tuple((int(a), int(b)) for a, b in values["mirror_pairs"]),
                limbs=tuple((int(a), int(b)) for a, b in values["limbs"]),
                roles={str(role): int(joint) for role, joint in dict(values["roles"]).items()},
                details=tuple(int(joint) for joint in values["details"]),
                lower_body=tuple(int(joint) for joint in values["lower_body"]),
            )
        except (TypeError, ValueError) as error:
            if isinstance(error, SkeletonError):
                raise
            raise SkeletonError(f"a skeleton definition is damaged: {error}") from None


@dataclass(frozen=True)
class _Joint:
    """An entry of ``joints`` in a skeleton file."""

    name: str
    sigma: float
    detail: bool = False
    lower: bool = False


@dataclass(frozen=True)
class _SkeletonFile:
    """The content of a skeleton file; names stand for joints."""

    name: str
    joints: tuple[_Joint, ...]
    mirror_pairs: tuple[tuple[str, ...], ...] = ()
    limbs: tuple[tuple[str, ...], ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)

    def definition(self) -> SkeletonDefinition:
        names = tuple(joint.name for joint in self.joints)
        for joint, name in enumerate(names):  # before any name is looked up
            if (first := names.index(name)) != joint:
                raise SkeletonError(
                    f"skeleton '{self.name}': joints {first} and {joint} are both called '{name}'"
                )

        def place(name: str, what: str) -> int:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1, cutoff=0)
                hint = f"; the nearest name is '{near[0]}'" if near else ""
                raise SkeletonError(
                    f"skeleton '{self.name}': {what} name '{name}', which is not a joint{hint}"
                )
            return names.index(name)

        def pairs(what: str, named: tuple[tuple[str, ...], ...]) -> tuple[tuple[int, int], ...]:
            for pair in named:
                if len(pair) != 2:
                    raise SkeletonError(
                        f"skeleton '{self.name}': {what} must be pairs of names, got {list(pair)}"
                    )
            return tuple((place(a, what), place(b, what)) for a, b in named)

        given = {role: place(name, "roles") for role, name in self.roles.items()}
        own = {name: j for j, name in enumerate(names) if name in ROLES and name not in given}
        taken = set(given.values())
        roles = given | {role: joint for role, joint in own.items() if joint not in taken}
        return SkeletonDefinition(
            name=self.name,
            joint_names=names,
            oks_sigmas=tuple(joint.sigma for joint in self.joints),
            mirror_pairs=pairs("mirror_pairs", self.mirror_pairs),
            limbs=pairs("limbs", self.limbs),
            roles={role: roles[role] for role in sorted(roles, key=lambda r: _role_order(r))},
            details=tuple(j for j, joint in enumerate(self.joints) if joint.detail),
            lower_body=tuple(j for j, joint in enumerate(self.joints) if joint.lower),
        )


def _role_order(role: str) -> int:
    return ROLES.index(role) if role in ROLES else len(ROLES)


def read_skeleton(path: str | Path) -> SkeletonDefinition:
    """Read a definition from a YAML file with the keys above.

    Raises
    ------
    SkeletonError
        The file cannot be read, a key is unknown or missing, or a value does not fit; the message
        names the file, the key and the value.
    """
    path = Path(path)
    try:
        return from_mapping(_SkeletonFile, read_yaml(path, "skeleton")).definition()
    except SkeletonError as error:
        raise SkeletonError(f"'{path}': {error}") from None
    except ConfigError as error:
        text = str(error)
        raise SkeletonError(text if str(path) in text else f"'{path}': {text}") from None


def shipped_skeletons() -> list[str]:
    """The names of the definitions that are part of this package."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def find_skeleton(name_or_path: str | Path) -> SkeletonDefinition:
    """The shipped definition of a name, or that of a YAML file.

    A text with a path separator or the ending ``.yaml`` or ``.yml`` is a path. SkeletonError as
    for `read_skeleton`, or if there is no definition of that name.
    """
    text = str(name_or_path)
    if "/" in text or text.endswith((".yaml", ".yml")):
        return read_skeleton(Path(text).expanduser())
    if text not in shipped_skeletons():
        raise SkeletonError(
            f"there is no skeleton '{text}'; there are {', '.join(shipped_skeletons())}, or give "
            "the path of a YAML file"
        )
    return _shipped(text)


@cache
def _shipped(name: str) -> SkeletonDefinition:
    return read_skeleton(_FOLDER / f"{name}.yaml")


def skeletons_with(joints: int) -> list[str]:
    """The names of the shipped definitions with so many joints."""
    return [name for name in shipped_skeletons() if _shipped(name).joints == joints]


def _shortened(names: Sequence[str], most: int = 4) -> str:
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text}, …"


COCO17: SkeletonDefinition = _shipped("coco17")
