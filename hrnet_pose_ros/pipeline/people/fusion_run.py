# SPDX-License-Identifier: Apache-2.0
"""From messages to people: everything that the node and the offline run decide, in one class.

Which message is used for what, which is refused and why, what the status is, and when something is
published: all of it follows from the messages and the times of their arrival alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People, PeopleStatus, StatusReason
from hrnet_pose_ros.fusion.refusals import Refusal, Tally
from hrnet_pose_ros.pipeline.people.fusion_inputs import KEPT, SENSORS, Input, InputAccount
from hrnet_pose_ros.pipeline.people.measurements import MeasurementReader
from hrnet_pose_ros.pipeline.people.message_fields import (
    MessageRefused,
    explained,
    malformed,
    stamp_and_frame,
)
from hrnet_pose_ros.pipeline.people.people_status import PeopleWatch
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.pipeline.people.skeleton_inputs import skeletons_of
from hrnet_pose_ros.pipeline.people.transform_tree import Coverage, TransformTree, camera_upwards
from hrnet_pose_ros.pipeline.skeleton_messages import skeleton_of
from hrnet_pose_ros.skeleton import SkeletonDefinition, SkeletonError

# `FusionRun.tick` is called with this period, s.
TICK = 0.05
# At most so many SkeletonArrays wait for a transform.
MOST_WAITING = 16


@dataclass(frozen=True)
class _Waiting:
    """A SkeletonArray that waits for the transform at its stamp; ``arrived`` on the clock, ns."""

    message: Any
    arrived: int
    stamp: int
    frame: str


class FusionRun:
    """Takes messages in the order of their arrival and returns what is to be published.

    Messages may be those of rclpy or of a bag library; they are read by their fields. None makes it
    raise: what cannot be used is refused and counted. Not thread-safe.

    Examples
    --------
    >>> from hrnet_pose_ros.pipeline.people.fusion_run import FusionRun
    >>> from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
    >>> run = FusionRun(PersonFusionSettings())
    >>> run.open(now=0)
    >>> [output] = run.tick(now=600_000_000)
    >>> output.status.name, [reason.value for reason in output.reasons][0]
    ('ERROR', 'skeletons_silent')
    """

    def __init__(self, settings: PersonFusionSettings) -> None:
        self._settings = settings
        self._tree = TransformTree(settings.base_frame, settings.fixed_transforms())
        self._fusion = PeopleFusion(settings.core(), self._tree)
        self._watch = PeopleWatch(settings)
        self._account = InputAccount()  # of what does not reach the fusion
        self._reader = MeasurementReader(settings, self._tree)
        self._skeleton: SkeletonDefinition | None = None
        self._rectified = False
        self._camera_info: Any = None
        self._waiting: deque[_Waiting] = deque()
        self._open = False

    # --- control ---------------------------------------------------------------------------------

    def apply(self, settings: PersonFusionSettings) -> None:
        """Use these settings from now on; those that are read at the start do not change."""
        self._settings = self._reader.settings = settings
        self._fusion.apply(settings.core())
        self._watch.apply(settings)

    def open(self, now: int) -> None:
        """Start to use skeletons and sensors; ``now`` is the time of the clock, ns."""
        self._open = True
        self._watch.begin(now)

    def close(self) -> None:
        """Stop: what waits and what comes is refused as ``not_active``.

        Tracks are forgotten, and which sensors there are: one that has been taken away is no fault
        after the next `open`.
        """
        self._open = False
        self._begin_anew(Refusal.NOT_ACTIVE)

    def finish(self) -> None:
        """Refuse what still waits as ``not_needed``: no image will come any more."""
        for waiting in self._waiting:
            self._refuse(Input.SKELETONS, Refusal.NOT_NEEDED, f"stamp {waiting.stamp}")
        self._waiting.clear()
        self._begin_anew(Refusal.NOT_NEEDED)

    def overload(self, what: Input, count: int = 1) -> None:
        """Count messages that were replaced by newer ones before they could be read."""
        for _ in range(count):
            self._account.count(what, Refusal.OVERLOAD)

    # --- messages --------------------------------------------------------------------------------

    def take(self, what: Input, message: Any, now: int, topic: str = "") -> list[PeopleOutput]:
        """Take a message that arrived at ``now``, ns on the clock that stamps are compared with.

        ``topic`` tells apart the sensors of one input (`Input.RANGE`).
        """
        self._note_clock(now)
        if not self._open and what not in KEPT:
            self._account.count(what, Refusal.NOT_ACTIVE)
            return []
        if what in SENSORS:
            self._watch.came(SENSORS[what], topic, now)
        elif what is Input.SKELETONS:
            self._watch.skeletons_came(now)
        outputs = []
        try:
            if what is Input.SKELETONS:
                outputs = self._skeletons(message, now)
            elif what in KEPT:
                self._keep(what, message, now)
                self._account.count(what, None)
                if what not in (Input.TF, Input.TF_STATIC):  # see `transform_problems`
                    self._account.sound(what)
            else:
                self._sensor(what, message, now, topic)
        except MessageRefused as error:
            self._refuse(what, error.reason, str(error))
        except Exception as error:  # garbage, which a field's type does not exclude
            text = f"{type(error).__name__}: {error}"
            self._refuse(what, Refusal.MALFORMED, text)
        return [*outputs, *self._released(now)]

    def tick(self, now: int) -> list[PeopleOutput]:
        """Return what is due at a time without a message; call it every `TICK` seconds."""
        self._note_clock(now)
        if not self._open:
            return []
        outputs = self._released(now)
        status, reasons = self.status(now)
        if status is not PeopleStatus.ERROR or not self._watch.is_due(now):
            return outputs
        return [*outputs, self._output(now, status, reasons)]

    def status(self, now: int) -> tuple[PeopleStatus, tuple[StatusReason, ...]]:
        """Return the status at a time of the clock, ns."""
        errors, silent = self._watch.errors(now, self._missing()), self._watch.silent(now)
        if errors:
            return PeopleStatus.ERROR, (*errors, *silent)
        return (PeopleStatus.DEGRADED if silent else PeopleStatus.OK), silent

    # --- accounts --------------------------------------------------------------------------------

    def account(self) -> dict[Input, Tally]:
        """Return what became of all messages, by input: received == used + refused + waiting."""
        fusion = self._fusion
        parts: dict[Input, list[Tally]] = {
            **self._buffer_tallies(),
            Input.SKELETONS: [fusion.skeletons],
            Input.IMU: [fusion.gravity.tally],
            Input.ODOMETRY: [fusion.ego.tally],
        }
        account = self._account.totals(parts)
        account[Input.SKELETONS].waiting += len(self._waiting)
        account[Input.SKELETONS].received += len(self._waiting)
        return account

    def cues(self) -> dict[str, Tally]:
        """Return what became of the cues of all persons, by the cue's name."""
        return self._fusion.outcomes

    @property
    def transforms_refused(self) -> int:
        """How many transforms of TF messages were not usable."""
        return self._tree.refused

    def transform_problems(self) -> list[str]:
        """Return why frames have no usable transform now."""
        return list(self._tree.unusable.values())

    @property
    def problems(self) -> dict[Input, str]:
        """The last explanation of a refusal, by input."""
        return self._account.problems

    def current_problems(self) -> dict[Input, str]:
        """Return the explanations of `problems`, without inputs that were used since then."""
        return self._account.current_problems()

    # --- skeletons -------------------------------------------------------------------------------

    def _skeletons(self, message: Any, now: int) -> list[PeopleOutput]:
        stamp, frame = stamp_and_frame(message)
        patience = self._settings.transform_wait_ms / 1e3
        not_yet = self._tree.coverage(frame, stamp, patience) is Coverage.NOT_YET
        if not_yet or self._waiting:  # in their order
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self._refuse(Input.SKELETONS, Refusal.NO_EXTRINSICS, "too many wait for TF")
            self._waiting.append(_Waiting(message, now, stamp, frame))
            return []
        return self._fuse(message, now)

    def _released(self, now: int) -> list[PeopleOutput]:
        """Return the people of skeletons that have waited long enough for a transform."""
        outputs = []
        patience = self._settings.transform_wait_ms / 1e3
        while self._waiting:
            first = self._waiting[0]
            waits = self._tree.coverage(first.frame, first.stamp, patience) is Coverage.NOT_YET
            if waits and 0 <= now - first.arrived <= patience * NS:
                break
            self._waiting.popleft()
            try:
                outputs += self._fuse(first.message, first.arrived)
            except MessageRefused as error:
                self._refuse(Input.SKELETONS, error.reason, str(error))
            except Exception as error:
                self._refuse(Input.SKELETONS, Refusal.MALFORMED, f"{type(error).__name__}: {error}")
        return outputs

    def _fuse(self, message: Any, now: int) -> list[PeopleOutput]:
        skeletons = skeletons_of(
            message, self._skeleton, self._camera_info, rectified=self._rectified
        )
        used = self._used()
        people = self._fusion.fuse(skeletons, now)
        if not isinstance(people, People):
            text = explained(people, skeletons.stamp, skeletons.frame, now, self._tree.base_frame)
            if people is Refusal.MALFORMED:
                text = camera_upwards(skeletons.frame, self._tree.base_frame)
            self._account.explain(Input.SKELETONS, text)
            self._watch.refused(people)
            return []
        self._watch.usable_skeletons(now)
        self._account.sound(Input.SKELETONS)
        self._note_idle(used, now)
        found = {*people.reasons, *self._watch.silent(now)}
        reasons = tuple(one for one in StatusReason if one in found)
        status = PeopleStatus.DEGRADED if reasons else PeopleStatus.OK
        return [self._output(skeletons.stamp, status, reasons, people)]

    def _used(self) -> dict[Input, int]:
        """Return how many messages of the sensors that are matched with images were used."""
        tallies = self._buffer_tallies()
        return {what: sum(one.used for one in found) for what, found in tallies.items()}

    def _buffer_tallies(self) -> dict[Input, list[Tally]]:
        fusion = self._fusion
        return {
            Input.DEPTH: [fusion.depth.buffer.tally],
            Input.POINTS: [fusion.lidar.buffer.tally],
            Input.SCAN: [fusion.scan.buffer.tally],
            Input.RANGE: [one.buffer.tally for one in fusion.ultrasonic.values()],
        }

    def _note_idle(self, before: dict[Input, int], now: int) -> None:
        """Note which sensors were used for an image; say why one whose messages come is not."""
        for what, count in self._used().items():
            # Of several ultrasonic sensors, others may be used, and the problem stays.
            if count > before[what] and what is not Input.RANGE:
                self._account.sound(what)
            if self._watch.matched(SENSORS[what], count > before[what], now):
                self._account.explain(
                    what,
                    "messages come, but none has a stamp within sensor_tolerance_ms of an image",
                )

    def _output(
        self,
        stamp: int,
        status: PeopleStatus,
        reasons: tuple[StatusReason, ...],
        people: People | None = None,
    ) -> PeopleOutput:
        return PeopleOutput(
            stamp=stamp,
            frame=self._tree.base_frame,
            status=status,
            reasons=reasons,
            people=() if people is None else people.people,
            limbs=() if self._skeleton is None else self._skeleton.limbs,
        )

    # --- the other inputs ------------------------------------------------------------------------

    def _keep(self, what: Input, message: Any, now: int) -> None:
        if what is Input.SKELETON_INFO:
            try:
                skeleton = skeleton_of(message)
            except SkeletonError as error:
                raise malformed(f"the SkeletonInfo contradicts itself: {error}") from None
            self._rectified = bool(message.image_rectified)
            if skeleton != self._skeleton:
                self._fusion.use_skeleton(skeleton)
                self._skeleton = skeleton
        elif what is Input.CAMERA_INFO:
            self._camera_info = message
        elif what is Input.DEPTH_INFO:
            self._reader.depth_info = message
        else:
            for text in self._tree.add(message, static=what is Input.TF_STATIC, now=now):
                self._account.explain(what, text)

    def _sensor(self, what: Input, message: Any, now: int, topic: str) -> None:
        measurement = self._reader.read(what, message, topic)
        reason = self._fusion.receive(measurement, now)
        if reason is None:
            self._watch.usable(SENSORS[what], topic, now)
            if what in (Input.IMU, Input.ODOMETRY):  # the others are sound when they are used
                self._account.sound(what)
        else:
            self._account.explain(what, self._reader.explained(reason, measurement, now))

    def _missing(self) -> set[StatusReason]:
        """Return what has never come and is needed for skeletons."""
        missing = set()
        if self._skeleton is None:
            missing.add(StatusReason.SKELETON_INFO_MISSING)
        if self._camera_info is None:
            missing.add(StatusReason.CAMERA_INFO_MISSING)
        return missing

    def _refuse(self, what: Input, reason: Refusal, text: str) -> None:
        self._account.refuse(what, reason, text)
        if what is Input.SKELETONS:
            self._watch.refused(reason)

    def _note_clock(self, now: int) -> None:
        if self._watch.clock(now):
            self._tree.forget_moving()
            self._begin_anew(Refusal.TIME_JUMP)

    def _begin_anew(self, reason: Refusal) -> None:
        """Refuse what waits, and forget what was measured: what comes is of another time."""
        while self._waiting:
            self._waiting.popleft()
            self._account.count(Input.SKELETONS, reason)
        self._reader.forget_topics()
        self._fusion.begin_anew(reason)
