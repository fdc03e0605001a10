# SPDX-License-Identifier: Apache-2.0
# The node on a Jetson Orin with JetPack 6 (Ubuntu 22.04), in Ubuntu 24.04 with Jazzy. Not built or run
# yet: docs/tensorrt.md. On JetPack 7.2 no container is needed. Before, put from the TensorRT 10.3
# archive for l4t its wheel for Python 3.12 and its folder lib into docker/tensorrt/.
#   docker build -f docker/jetson.Dockerfile -t hrnet_pose:jetson .
#   docker run --rm --runtime nvidia --network host --ipc host -v hrnet_pose_plans:/plans hrnet_pose:jetson
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

COPY docker/tensorrt /ws/tensorrt
RUN ls /ws/tensorrt/tensorrt-10.3*-cp312-*-linux_aarch64.whl /ws/tensorrt/lib/libnvinfer.so.10 \
    || { echo "docker/tensorrt lacks the wheel or lib: docs/tensorrt.md, JetPack 6" >&2; exit 1; }
RUN /ws/docker/install.sh /ws/tensorrt/tensorrt-10.3*-cp312-*-linux_aarch64.whl "cuda-python>=12,<13"
ENV LD_LIBRARY_PATH=/ws/tensorrt/lib

# Plans and compiled kernels outlive the container; root owns them, as the plan cache demands.
ENV XDG_CACHE_HOME=/plans
VOLUME /plans
# What the NVIDIA runtime hands in.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

ENTRYPOINT ["/ws/docker/entrypoint.sh"]
CMD ["ros2", "launch", "--noninteractive", "hrnet_pose_ros", "hrnet_pose.launch.xml"]
