# SPDX-License-Identifier: Apache-2.0
"""Files of the page on which images, videos and cameras can be tried."""
