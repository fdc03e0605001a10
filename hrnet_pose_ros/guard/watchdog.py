# SPDX-License-Identifier: Apache-2.0
"""Watches the inputs and the clock: which faults there are, and since when."""

from __future__ import annotations

from hrnet_pose_ros.fusion.person import PeopleStatus
from hrnet_pose_ros.guard.inputs import PeopleReport
from hrnet_pose_ros.guard.reasons import GuardReason
from hrnet_pose_ros.guard.settings import GuardSettings

NS = 1e9
# A clock may go back by this much without having jumped, and stamps may be ahead of it, s.
TOLERANCE = 0.03


class Watchdog:
    """Time that passes for the guard, and the faults of its inputs.

    ``elapsed`` are ns that do not jump with the clock: a gap counts as ``overload_after``.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self.apply(settings)
        self.elapsed = 0
        self._now: int | None = None
        self._event: tuple[GuardReason, int] | None = None  # and until when it lasts
        self._since: int | None = None  # begin of the faults that have not been over for long
        self._last = 0

    def apply(self, settings: GuardSettings) -> None:
        """Use other settings from now on."""
        self._settings = settings
        self._release = round(settings.release_delay * NS)
        self._crawl = round(settings.crawl_time * NS)

    @property
    def faulty(self) -> bool:
        """Whether there are faults, or were within ``release_delay``."""
        return self._since is not None

    def advance(self, now: int) -> GuardReason | None:
        """The clock shows ``now`` (ns); return the reason if it jumped or stood still."""
        settings = self._settings
        before, self._now = self._now, now
        if before is None:
            return None
        passed = (now - before) / NS
        self.elapsed += min(max(now - before, 0), round(settings.overload_after * NS))
        event = None
        if passed < -TOLERANCE:
            event = GuardReason.CLOCK_JUMPED_BACK
        elif passed > settings.clock_jump:
            event = GuardReason.CLOCK_JUMPED_FORWARDS
        elif passed > settings.overload_after:
            event = GuardReason.OVERLOAD
        if event is not None:
            self._event = (event, self.elapsed + self._release)
        return event

    def faults(
        self,
        people: PeopleReport | None,
        command_stamp: int | None,
        now: int,
        *,
        command_invalid: bool,
        command_over: bool,
        person_invalid: bool,
    ) -> list[GuardReason]:
        """The faults that there are now, in their order of precedence.

        ``command_over``: the command has been too old already. Neither a jump of the clock nor a
        longer timeout makes it young again.
        """
        found = []
        if self._event is not None and self.elapsed < self._event[1]:
            found.append(self._event[0])
        if command_stamp is None:
            found.append(GuardReason.NO_COMMAND)
        else:
            age = (now - command_stamp) / NS
            if command_over or age > self._settings.command_timeout:
                found.append(GuardReason.COMMAND_TOO_OLD)
            if age < -TOLERANCE:
                found.append(GuardReason.COMMAND_IN_FUTURE)
        if command_invalid:
            found.append(GuardReason.COMMAND_INVALID)
        if people is None:
            found.append(GuardReason.NO_PEOPLE)
        else:
            age = (now - people.stamp) / NS
            if age > self._settings.people_timeout:
                found.append(GuardReason.PEOPLE_TOO_OLD)
            if age < -TOLERANCE:
                found.append(GuardReason.PEOPLE_IN_FUTURE)
            if people.status == PeopleStatus.ERROR:
                found.append(GuardReason.PEOPLE_ERROR)
            elif people.status not in (PeopleStatus.OK, PeopleStatus.DEGRADED):
                found.append(GuardReason.PEOPLE_INVALID)
            if person_invalid:
                found.append(GuardReason.PERSON_INVALID)
        return sorted(found, key=list(GuardReason).index)

    def allowed_speed(self, faults: list[GuardReason]) -> float:
        """The speed in m/s that faults allow: crawl, then 0; infinite without any.

        Faults that come and go within ``release_delay`` are one.
        """
        if not faults:
            if self._since is not None and self.elapsed - self._last > self._release:
                self._since = None
            return float("inf")
        if self._since is None:
            self._since = self.elapsed
        self._last = self.elapsed
        over = self.elapsed - self._since >= self._crawl
        return 0.0 if over else self._settings.crawl_speed
