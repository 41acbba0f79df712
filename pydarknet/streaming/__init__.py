# SPDX-License-Identifier: Apache-2.0
"""Detection from any source into any output: sources, the loop, tiling, outputs."""
