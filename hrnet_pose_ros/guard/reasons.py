# SPDX-License-Identifier: Apache-2.0
"""What the guard does to a command, and why: closed lists, whose values must not change."""

from __future__ import annotations

from enum import Enum


class GuardAction(str, Enum):
    """The actions, named as nav2's collision monitor names them."""

    NONE = "none"  # the command is passed on as it is
    STOP = "stop"  # speed 0
    SLOWDOWN = "slowdown"  # a fixed part of the commanded speed
    LIMIT = "limit"  # a speed in m/s
    APPROACH = "approach"  # the speed at which the separation distance holds


class GuardReason(str, Enum):
    """Why: values are words of diagnostics.

    In the order of precedence: of two reasons for the same speed, the first is named.
    """

    # of the inputs, each of which makes the vehicle crawl, then stand
    CLOCK_JUMPED_BACK = "clock_jumped_back"
    CLOCK_JUMPED_FORWARDS = "clock_jumped_forwards"
    OVERLOAD = "overload"  # the guard was not called in time, or commands waited for it
    NO_COMMAND = "no_command"  # none since the start
    COMMAND_INVALID = "command_invalid"  # a number of the newest one is not finite, or huge
    COMMAND_TOO_OLD = "command_too_old"
    COMMAND_IN_FUTURE = "command_in_future"  # its stamp is ahead of the clock
    NO_PEOPLE = "no_people"  # no message since the start, or since the clock jumped
    PEOPLE_ERROR = "people_error"  # status ERROR
    PEOPLE_INVALID = "people_invalid"  # a status that does not exist, or a message without stamp
    PEOPLE_TOO_OLD = "people_too_old"
    PEOPLE_IN_FUTURE = "people_in_future"
    PERSON_INVALID = "person_invalid"  # a person without a finite position and covariance
    # of the people
    PERSON_IN_STOP_ZONE = "person_in_stop_zone"
    SEPARATION = "separation"  # the separation distance to a person would not hold
    PERSON_REMEMBERED = "person_remembered"  # the same, of somebody who is not reported any more
    PERSON_IN_SLOWDOWN_ZONE = "person_in_slowdown_zone"
    # of the situation
    PEOPLE_DEGRADED = "people_degraded"  # status DEGRADED, and `degraded_speed` is set
    OUT_OF_VIEW = "out_of_view"  # the way leads where nobody would be seen
    RELEASING = "releasing"  # the cause has gone, for less than `release_delay`
    NONE = "none"


INPUT_FAULTS = tuple(GuardReason)[: tuple(GuardReason).index(GuardReason.PERSON_IN_STOP_ZONE)]
# The separation distance to somebody decides.
OF_PERSON = (
    GuardReason.PERSON_IN_STOP_ZONE,
    GuardReason.SEPARATION,
    GuardReason.PERSON_REMEMBERED,
)
COMMAND_FAULTS = tuple(one for one in INPUT_FAULTS if "command" in one.value)
