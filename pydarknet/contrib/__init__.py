# SPDX-License-Identifier: Apache-2.0
"""Bridges to other libraries, one module each; nothing else in pydarknet imports them."""
