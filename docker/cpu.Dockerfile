# SPDX-License-Identifier: Apache-2.0
# The node on a processor (OpenVINO), x86-64 or aarch64. Not built or run yet: docs/tensorrt.md.
#   docker build -f docker/cpu.Dockerfile -t hrnet_pose:cpu .
#   docker run --rm --network host --ipc host hrnet_pose:cpu
FROM ros:jazzy-ros-base-noble

WORKDIR /ws
COPY package.xml CMakeLists.txt setup.py README.md LICENSE NOTICE requirements-vehicle.txt src/hrnet_pose_ros/
COPY msg src/hrnet_pose_ros/msg
COPY hrnet_pose_ros src/hrnet_pose_ros/hrnet_pose_ros
COPY scripts src/hrnet_pose_ros/scripts
COPY launch src/hrnet_pose_ros/launch
COPY config src/hrnet_pose_ros/config
COPY models src/hrnet_pose_ros/models
COPY docker/install.sh docker/entrypoint.sh /ws/docker/

RUN /ws/docker/install.sh

ENTRYPOINT ["/ws/docker/entrypoint.sh"]
CMD ["ros2", "launch", "--noninteractive", "hrnet_pose_ros", "hrnet_pose.launch.xml"]
