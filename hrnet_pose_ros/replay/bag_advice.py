# SPDX-License-Identifier: Apache-2.0
"""A bag report as text for the terminal, and advice on how to fix the problems it shows."""

from __future__ import annotations

from hrnet_pose_ros.pipeline.detections import EVERY_CLASS
from hrnet_pose_ros.pipeline.image_transport import RAW, TRANSPORT_OF_TYPE
from hrnet_pose_ros.pipeline.images import ENCODINGS
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.replay.bag_report import BagReport, PairingReport, TopicReport
from hrnet_pose_ros.replay.topics import CAMERA_INFO, DETECTIONS

# Part of the images that may be missing without advice.
MISSING = 0.02


def advice_of(report: BagReport, settings: Settings) -> list[str]:
    """Problems that the node would have with the bag, each with a fix; empty if there are none."""
    advice = [f"{name}: {problem}." for name, problem in report.other_versions.items()]
    images = [topic for topic in report.topics if topic.type in TRANSPORT_OF_TYPE and topic.count]
    images = [topic for topic in images if not topic.is_depth]
    for_pose = bool(images) or not report.sensors  # a bag for the fusion needs no images
    if not images and for_pose:
        advice.append("There are no images: record sensor_msgs/Image or CompressedImage.")
    if for_pose and not any(topic.type == DETECTIONS and topic.count for topic in report.topics):
        advice.append(
            "There are no detections: record vision_msgs/Detection2DArray, or set "
            "whole_image_as_person."
        )
    if not any(topic.type == CAMERA_INFO and topic.count for topic in report.topics):
        advice.append("There is no camera_info, which rays and 3D markers need.")
    if images and report.pairing is None:
        names = ", ".join(topic.name for topic in images)
        advice.append(f"Several image topics ({names}): choose one with --image.")
    for topic in report.topics:
        advice += _topic_advice(topic)
    if report.pairing is not None:
        advice += _pairing_advice(report.pairing, settings)
    for sensor in report.sensors:
        advice += [f"{sensor.topic} (fusion): {problem}." for problem in sensor.problems]
    return advice


def _topic_advice(topic: TopicReport) -> list[str]:
    advice = []
    if topic.unreadable:
        advice.append(f"{topic.name}: {topic.unreadable} messages cannot be read.")
    if topic.gaps and topic.type in (*TRANSPORT_OF_TYPE, DETECTIONS):
        advice.append(
            f"{topic.name}: {topic.gaps} gaps, the longest is {topic.longest_gap_s:g} s. The "
            "recorder, the network or the sender lost messages or stood still."
        )
    if topic.missing > MISSING * (topic.count + topic.missing):
        advice.append(
            f"{topic.name}: about {topic.missing} of {topic.count + topic.missing} images "
            f"({topic.missing / (topic.count + topic.missing):.0%}) are missing, by their stamps."
        )
    if topic.frame_ids.get("") and topic.type != DETECTIONS:
        advice.append(
            f"{topic.name}: frame_id is empty, so its data cannot be transformed with TF."
        )
    if topic.type == RAW.message_type and not topic.is_depth:
        for name in topic.formats:
            encoding = name.rpartition(" ")[0]
            if encoding.lower() not in ENCODINGS:
                advice.append(
                    f"{topic.name}: encoding {encoding!r} is not supported; supported encodings "
                    "are "
                    f"{', '.join(ENCODINGS)}."
                )
    return advice


def _pairing_advice(pairing: PairingReport, settings: Settings) -> list[str]:
    advice = []
    drops = pairing.drops
    needed = pairing.nearest_ms
    if needed is not None and pairing.within_tolerance < 0.5 and needed > 0:
        advice.append(
            f"{pairing.within_tolerance:.0%} of the images have detections within "
            f"sync_tolerance_ms ({settings.sync_tolerance_ms:g}); the median difference "
            f"between their stamps is {needed:g} ms. The best fix is a detector that copies the "
            "stamp of the image."
        )
    if drops.get("images.clock_differs") or drops.get("detections.clock_differs"):
        advice.append(
            "Stamps differ from the log time by more than the node accepts (clock_differs). "
            "Check the clocks of the camera and the recorder."
        )
    if drops.get("images.too_old"):
        advice.append(
            f"{drops['images.too_old']} images would be older than max_age_ms "
            f"({settings.max_age_ms:g}) when paired."
        )
    wanted = {name.lower() for name in settings.class_ids}
    seen = {name.lower() for name in pairing.class_ids}
    if seen and EVERY_CLASS not in wanted and not seen & wanted:
        advice.append(
            f"No detection has a class from class_ids ({', '.join(settings.class_ids)}); the "
            f"recorded classes are {', '.join(sorted(pairing.class_ids))}."
        )
    return advice


def text_of(report: BagReport) -> str:
    """The report for a terminal."""
    lines = [f"{report.path}: {report.duration_s:.1f} s"]
    if report.loss:
        lines.append(f"INCOMPLETE: {report.loss}")
    lines.append("")
    for topic in report.topics:
        rate = "" if topic.rate_hz is None else f", {topic.rate_hz:g} Hz"
        lines.append(f"{topic.name}  {topic.type}  {topic.count}{rate}")
        details = [f"{name} x {count}" for name, count in topic.formats.items()]
        details += [f"frame_id {name!r}" for name in topic.frame_ids]
        if topic.delay_ms is not None:
            details.append(f"recorded {topic.delay_ms:g} ms after its stamp")
        if topic.gaps:
            details.append(f"{topic.gaps} gaps, the longest is {topic.longest_gap_s:g} s")
        if topic.stamps_out_of_order:
            details.append(f"{topic.stamps_out_of_order} stamps out of order")
        if topic.unreadable:
            details.append(f"{topic.unreadable} unreadable")
        lines += [f"    {detail}" for detail in details]
    if report.pairing is not None:
        lines += ["", *_pairing_lines(report.pairing)]
    if report.sensors:
        lines += ["", "the fusion of people with these inputs:"]
        for sensor in report.sensors:
            what = "; ".join([f"'{frame}'" for frame in sensor.frames if frame] + sensor.facts)
            lines.append(f"    {sensor.what} <- {sensor.topic}" + (f": {what}" if what else ""))
    lines += (
        ["", *(f"! {one}" for one in report.advice)] if report.advice else ["", "no problems found"]
    )
    return "\n".join(lines)


def _pairing_lines(pairing: PairingReport) -> list[str]:
    lines = [f"the node with {pairing.image} and {pairing.detections or 'no detections'}:"]
    lines.append(
        f"    images with detections: {pairing.exact:.1%} with an equal stamp, "
        f"{pairing.within_tolerance:.1%} within the tolerance"
    )
    if pairing.nearest_ms is not None:
        lines.append(f"    median stamp difference: {pairing.nearest_ms:g} ms")
    classes = ", ".join(f"{name!r} x {count}" for name, count in pairing.class_ids.items())
    lines.append(f"    classes: {classes or 'none'}")
    lines.append(f"    would be processed with a fast enough engine: {pairing.processed} images")
    lines += [f"    would be dropped: {name} {count}" for name, count in pairing.drops.items()]
    return lines
