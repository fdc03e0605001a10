# SPDX-License-Identifier: Apache-2.0
"""Selects the inputs of the fusion of people from the topics of one or several bags."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hrnet_pose_ros.pipeline.people.depth_images import DEPTH_ENCODINGS
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.message_fields import frame_name
from hrnet_pose_ros.replay.answers import INFO, SKELETONS, USUAL_NAME
from hrnet_pose_ros.replay.bags import BagReader, TopicInfo
from hrnet_pose_ros.replay.definitions import BagError
from hrnet_pose_ros.replay.topics import CAMERA_INFO

IMAGE, TF = "sensor_msgs/msg/Image", "tf2_msgs/msg/TFMessage"
TYPES = {
    Input.SKELETONS: SKELETONS,
    Input.SKELETON_INFO: INFO,
    Input.CAMERA_INFO: CAMERA_INFO,
    Input.DEPTH: IMAGE,
    Input.DEPTH_INFO: CAMERA_INFO,
    Input.POINTS: "sensor_msgs/msg/PointCloud2",
    Input.SCAN: "sensor_msgs/msg/LaserScan",
    Input.RANGE: "sensor_msgs/msg/Range",
    Input.IMU: "sensor_msgs/msg/Imu",
    Input.ODOMETRY: "nav_msgs/msg/Odometry",
    Input.TF: TF,
    Input.TF_STATIC: TF,
}
SEVERAL = (Input.RANGE, Input.TF, Input.TF_STATIC)


class FusionTopics:
    """Which topic of which bag is which input.

    Attributes
    ----------
    inputs
        ``{topic: input}``.
    bag_of
        ``{topic: index}`` of the bag that the topic is read from: of several with it, the last.
    """

    def __init__(
        self,
        bags: Sequence[BagReader],
        wanted: Mapping[Input, str | Sequence[str]] | None = None,
        without: Collection[Input] = (),
    ) -> None:
        """See the class.

        Parameters
        ----------
        wanted
            Topics that are given, several of an input in `SEVERAL`; others are found by their
            types, frames and names.
        without
            Inputs that are left out.

        Raises
        ------
        BagError
            There are no skeletons, a wanted topic is not there, or one of several has to be chosen.
        """
        self._bags = bags
        self._wanted = {
            what: ["/" + one.lstrip("/") for one in ([names] if isinstance(names, str) else names)]
            for what, names in (wanted or {}).items()
        }
        self._without = frozenset(without)
        for what, names in self._wanted.items():
            if what in self._without:
                raise BagError(f"{what.value} is both chosen ({', '.join(names)}) and left out")
            if len(names) > 1 and what not in SEVERAL:
                raise BagError(
                    f"{len(names)} topics are chosen for {what.value}: {', '.join(names)}; choose "
                    "one"
                )
        if Input.SKELETONS in self._without:
            raise BagError("skeletons cannot be left out: without them, there are no people")
        self.bag_of: dict[str, int] = {}
        self._types: dict[str, str] = {}
        for number, bag in enumerate(bags):
            for name, info in bag.topics.items():
                if info.count:
                    self.bag_of[name], self._types[name] = number, info.type
        self.inputs: dict[str, Input] = {}
        for what, found in self._found().items():
            if what not in self._without:
                self.inputs |= dict.fromkeys(found, what)

    def topics_of(self, what: Input) -> list[str]:
        """Return the topics of an input."""
        return [name for name, input_ in self.inputs.items() if input_ is what]

    def _found(self) -> dict[Input, list[str]]:
        skeletons = self._only(Input.SKELETONS, self._named(self._of(Input.SKELETONS)))
        if not skeletons:
            held = ", ".join(f"{n} ({t})" for n, t in self._types.items()) or "nothing"
            raise BagError(
                f"there are no messages of {SKELETONS}: make them with hrnet_pose replay, and give "
                f"both bags; found {held}"
            )
        near = _namespace(skeletons[0])
        infos = self._of(Input.SKELETON_INFO)
        beside = [name for name in infos if _namespace(name) == near]
        images = self._of(Input.DEPTH)
        depth = self._only(Input.DEPTH, [name for name in images if self._is_depth(name)])
        found = {
            Input.SKELETONS: skeletons,
            Input.SKELETON_INFO: self._only(Input.SKELETON_INFO, beside or infos),
            Input.DEPTH: depth,
        }
        found |= self._camera_infos(skeletons[0], depth)
        for what in (Input.POINTS, Input.SCAN, Input.IMU, Input.ODOMETRY):
            found[what] = self._only(what, self._of(what))
        found[Input.RANGE] = self._only(Input.RANGE, self._of(Input.RANGE))
        transforms = self._of(Input.TF)
        static = [name for name in transforms if name.endswith("tf_static")]
        moving = [name for name in transforms if name not in static]
        found[Input.TF_STATIC] = self._only(Input.TF_STATIC, static)
        found[Input.TF] = self._only(Input.TF, moving)
        return found

    def _camera_infos(self, skeletons: str, depth: list[str]) -> dict[Input, list[str]]:
        """Return the CameraInfo topics of the camera and of the depth image, by their frames."""
        infos = self._of(Input.CAMERA_INFO)
        frames = {name: self._frame(name) for name in infos}
        of_depth: list[str] = []
        if depth:
            beside = [f"{depth[0]}/camera_info", f"{_namespace(depth[0])}/camera_info"]
            fits = [name for name in infos if frames[name] == self._frame(depth[0])]
            # The one below the depth image is meant, even if its frame is wrong: that is then said.
            named = beside[:1] if beside[0] in infos else [n for n in beside if n in fits]
            of_depth = named[:1] or fits
        camera = [name for name in infos if frames[name] == self._frame(skeletons)]
        if len(camera) > 1:
            camera = [name for name in camera if name not in of_depth] or camera
        camera = camera or [name for name in infos if name not in of_depth]
        return {
            Input.CAMERA_INFO: self._only(Input.CAMERA_INFO, camera),
            Input.DEPTH_INFO: self._only(Input.DEPTH_INFO, of_depth),
        }

    def _of(self, what: Input) -> list[str]:
        return sorted(name for name, kind in self._types.items() if kind == TYPES[what])

    def _named(self, names: list[str]) -> list[str]:
        """Return those with the usual name, if there are several: the smoothed ones are others."""
        usual = [name for name in names if name.rpartition("/")[2] == USUAL_NAME]
        return usual if len(names) > 1 and usual else names

    def _only(self, what: Input, candidates: list[str]) -> list[str]:
        """Return the wanted topics, or the only candidate; BagError if there are several."""
        wanted = self._wanted.get(what)
        for name in wanted or ():
            if name not in self._types:
                raise BagError(
                    f"there is no topic {name} with messages; there are {', '.join(self._types)}"
                )
            if self._types[name] != TYPES[what]:
                raise BagError(
                    f"{name} is a {self._types[name]}; {what.value} must be {TYPES[what]}"
                )
        if wanted:
            return wanted
        if len(candidates) > 1 and what not in SEVERAL and what not in self._without:
            raise BagError(
                f"there are {len(candidates)} topics for {what.value}: {', '.join(candidates)}; "
                f"choose one with --topic {what.value}=TOPIC, or leave it out with --without "
                f"{what.value}"
            )
        return candidates

    def _frame(self, name: str) -> str:
        first = _first(self._bags[self.bag_of[name]], name)
        return "" if first is None else frame_name(first.header.frame_id)

    def _is_depth(self, name: str) -> bool:
        bag = self._bags[self.bag_of[name]]
        return is_depth_topic(bag, name, bag.topics[name])


def is_depth_topic(bag: BagReader, name: str, info: TopicInfo) -> bool:
    """Return whether the images of a topic are depth images, by their encoding."""
    if info.type != IMAGE or not info.count:
        return False
    first = _first(bag, name)
    return first is not None and first.encoding in DEPTH_ENCODINGS


def _first(bag: BagReader, name: str) -> Any:
    """Return the first message of a topic that can be read; None if there is none."""
    for item in bag.messages([name]):
        try:
            return item.message
        except BagError:
            continue
    return None


def _namespace(topic: str) -> str:
    return topic.rpartition("/")[0]
