# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace as Message

import cv2
import numpy as np
import pytest

from hrnet_pose_ros.pipeline.image_transport import (
    COMPRESSED,
    RAW,
    TRANSPORT_OF_TYPE,
    TRANSPORTS,
)
from hrnet_pose_ros.pipeline.images import ImageError, size_of
from hrnet_pose_ros.pipeline.settings import BY_NAME

FRAME = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)


def raw(**fields: object) -> Message:
    values = {"height": 2, "width": 4, "step": 12, "encoding": "rgb8", "data": FRAME.tobytes()}
    return Message(**(values | fields))


def compressed() -> Message:
    return Message(format="png", data=cv2.imencode(".png", FRAME[..., ::-1])[1].tobytes())


def test_there_is_one_for_each_value_of_the_parameter() -> None:
    assert tuple(TRANSPORTS) == BY_NAME["image_transport"].choices
    assert TRANSPORT_OF_TYPE["sensor_msgs/msg/Image"] is RAW
    assert TRANSPORT_OF_TYPE["sensor_msgs/msg/CompressedImage"] is COMPRESSED


@pytest.mark.parametrize(("name", "message"), [("raw", raw()), ("compressed", compressed())])
def test_reading_is_checking_and_decoding(name: str, message: Message) -> None:
    transport = TRANSPORTS[name]
    transport.check(message)
    assert (transport.decode(message) == FRAME).all()
    assert (transport.read(message) == FRAME).all()
    assert size_of(transport.read(message)) == (4, 2)
    message.data = message.data[:-5]
    with pytest.raises(ImageError):
        transport.check(message)
    with pytest.raises(ImageError):
        transport.read(message)
