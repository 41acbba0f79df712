# SPDX-License-Identifier: Apache-2.0
"""Evaluation of detections against the truth: protocols, curves, saturation, diagnosis."""
