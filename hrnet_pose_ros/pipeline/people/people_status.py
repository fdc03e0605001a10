# SPDX-License-Identifier: Apache-2.0
"""Who has fallen silent: the status of people, from the times at which messages arrived."""

from __future__ import annotations

from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.person import StatusReason
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings

# An ERROR is repeated with this period, s, so that a consumer's watchdog sees it soon.
REPEAT = 0.2
# A clock that goes back, or ahead, by more than this has jumped, ns: a bag has started again, or
# the first /clock has come.
JUMP_BACK_NS, JUMP_AHEAD_NS = 10_000_000, 10_000_000_000
# And by more than this, ns, what is known is of another time: a shorter way back than from one
# image to the next does not make the stamps of images go back.
RESTART_NS = 100_000_000
# A sensor of which nothing was used for so many images contributes nothing.
IDLE_IMAGES = 3
# What the last refusal of skeletons says is missing.
_MISSING = {
    Refusal.NO_SKELETON_INFO: StatusReason.SKELETON_INFO_MISSING,
    Refusal.NO_CAMERA_INFO: StatusReason.CAMERA_INFO_MISSING,
    Refusal.NO_EXTRINSICS: StatusReason.CAMERA_TRANSFORM_MISSING,
}


class PeopleWatch:
    """Notes what came, and what of it could be used. Times are ns on the node's clock.

    A sensor counts from its first message on: one that has never sent is not there.
    """

    def __init__(self, settings: PersonFusionSettings) -> None:
        self._usable: dict[tuple[StatusReason, str], int] = {}
        # Since when, and for how many images, nothing of a sensor was used.
        self._idle: dict[StatusReason, tuple[int, int]] = {}
        self._skeletons: int | None = None  # when some came last
        self._people = 0  # when some could be used last, or the watch began
        self._refusal: Refusal | None = None  # of the newest skeletons
        self._now: int | None = None
        self._last_error: int | None = None
        self.apply(settings)

    def apply(self, settings: PersonFusionSettings) -> None:
        """Use these time-outs from now on."""
        self._silent_after = round(settings.silent_after_ms * 1e6)
        self._timeout = round(settings.skeletons_timeout_ms * 1e6)

    def begin(self, now: int) -> None:
        """Begin to watch: nobody has sent anything yet."""
        self._usable.clear()
        self._restart(now)

    def clock(self, now: int) -> bool:
        """Note the clock; if it has jumped, all time-outs begin anew.

        Returns whether it went back by more than `RESTART_NS`: the fusion has to begin anew, too.
        """
        passed = 0 if self._now is None else now - self._now
        if not -JUMP_BACK_NS <= passed <= JUMP_AHEAD_NS:
            self._restart(now)
        self._now = now
        return passed < -RESTART_NS

    def _restart(self, now: int) -> None:
        """Give everybody the whole time-out from now on."""
        self._now = self._people = now
        self._skeletons = self._refusal = self._last_error = None
        self._usable = dict.fromkeys(self._usable, now)
        self._idle.clear()

    def came(self, sensor: StatusReason, topic: str, now: int) -> None:
        """Note a message of a sensor."""
        self._usable.setdefault((sensor, topic), now)

    def usable(self, sensor: StatusReason, topic: str, now: int) -> None:
        """Note a message of a sensor that could be used."""
        self._usable[sensor, topic] = now

    def matched(self, sensor: StatusReason, used: bool, now: int) -> bool:
        """Note whether something of a sensor was used for an image; return whether it is idle.

        It is if its messages come and are sound, but none is used: their stamps are too far away.
        """
        newest = max((t for (one, _), t in self._usable.items() if one is sensor), default=None)
        if used or newest is None or now - newest > self._silent_after:
            self._idle.pop(sensor, None)
            return False
        since, images = self._idle.get(sensor, (now, 0))
        self._idle[sensor] = since, images + 1
        return self._is_idle(sensor, now)

    def _is_idle(self, sensor: StatusReason, now: int) -> bool:
        since, images = self._idle.get(sensor, (now, 0))
        return images >= IDLE_IMAGES and now - since > self._silent_after

    def skeletons_came(self, now: int) -> None:
        """Note a SkeletonArray."""
        self._skeletons = now

    def usable_skeletons(self, now: int) -> None:
        """Note a SkeletonArray that gave people."""
        self._people, self._refusal, self._last_error = now, None, None

    def refused(self, reason: Refusal) -> None:
        """Note why a SkeletonArray gave none."""
        self._refusal = reason

    def silent(self, now: int) -> tuple[StatusReason, ...]:
        """Return the sensors from which nothing usable has come for the time-out."""
        found = {s for (s, _), last in self._usable.items() if now - last > self._silent_after}
        if now - self._people <= self._timeout:  # without images, nobody knows what fits them
            found |= {sensor for sensor in self._idle if self._is_idle(sensor, now)}
        return tuple(reason for reason in StatusReason if reason in found)

    def is_due(self, now: int) -> bool:
        """Return whether an error is to be said now, and note it: not more often than `REPEAT`."""
        if self._last_error is not None and now - self._last_error < REPEAT * NS:
            return False
        self._last_error = now
        return True

    def errors(self, now: int, missing: set[StatusReason]) -> tuple[StatusReason, ...]:
        """Return why there are no people; empty if there are. ``missing`` has never come."""
        if now - self._people <= self._timeout:
            return ()
        found = set(missing)
        if self._skeletons is None or now - self._skeletons > self._timeout:
            found.add(StatusReason.SKELETONS_SILENT)
        elif self._refusal in _MISSING:
            found.add(_MISSING[self._refusal])
        else:
            found.add(StatusReason.SKELETONS_REFUSED)
        return tuple(reason for reason in StatusReason if reason in found)
