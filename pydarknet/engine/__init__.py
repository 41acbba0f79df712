# SPDX-License-Identifier: Apache-2.0
"""The binding to libdarknet: networks, trainers, detections, boxes, images, names, drawing."""
