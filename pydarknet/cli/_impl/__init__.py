# SPDX-License-Identifier: Apache-2.0
"""Helpers of the commands: options, progress, and the work behind one command each."""
