# SPDX-License-Identifier: Apache-2.0
"""Adapters for optional libraries, one module each; only ``cli`` imports them, others load them by name."""
