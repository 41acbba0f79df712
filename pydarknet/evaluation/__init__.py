# SPDX-License-Identifier: Apache-2.0
"""What detections are worth, given the truth."""
