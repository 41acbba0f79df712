# SPDX-License-Identifier: Apache-2.0
"""HTTP server that detects objects in images (``pydarknet serve``); needs the extra ``serve``."""
