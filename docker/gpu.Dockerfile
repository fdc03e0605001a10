# SPDX-License-Identifier: Apache-2.0
# The node on an NVIDIA GPU, x86-64, with TensorRT from PyPI. Not built or run yet: docs/tensorrt.md.
# The host needs a driver and the NVIDIA container toolkit; for a driver for CUDA 12 (nvidia-smi shows
# the version) add --build-arg CUDA=12.
#   docker build -f docker/gpu.Dockerfile -t hrnet_pose:gpu .
#   docker run --rm --gpus all --network host --ipc host -v hrnet_pose_plans:/plans hrnet_pose:gpu
FROM ros:jazzy-ros-base-noble
ARG CUDA=13

WORKDIR /ws
COPY package.xml CMakeLists.txt setup.py README.md LICENSE NOTICE requirements-vehicle.txt src/hrnet_pose_ros/
COPY msg src/hrnet_pose_ros/msg
COPY hrnet_pose_ros src/hrnet_pose_ros/hrnet_pose_ros
COPY scripts src/hrnet_pose_ros/scripts
COPY launch src/hrnet_pose_ros/launch
COPY config src/hrnet_pose_ros/config
COPY models src/hrnet_pose_ros/models
COPY docker/install.sh docker/entrypoint.sh /ws/docker/

RUN case "$CUDA" in \
      12) /ws/docker/install.sh "tensorrt-cu12>=10.3" "cuda-python>=12,<13" ;; \
      13) /ws/docker/install.sh "tensorrt-cu13>=10.13" "cuda-python>=13,<14" ;; \
      *) echo "CUDA is $CUDA; allowed: 12, 13" >&2; exit 1 ;; \
    esac

# Plans and compiled kernels outlive the container; root owns them, as the plan cache demands.
ENV XDG_CACHE_HOME=/plans
VOLUME /plans
# What the container toolkit hands in.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

ENTRYPOINT ["/ws/docker/entrypoint.sh"]
CMD ["ros2", "launch", "--noninteractive", "hrnet_pose_ros", "hrnet_pose.launch.xml"]
