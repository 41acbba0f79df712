# SPDX-License-Identifier: Apache-2.0
"""Machine facts, atomic files, text decoding, the web server, optional libraries and notices."""
