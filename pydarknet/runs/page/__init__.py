# SPDX-License-Identifier: Apache-2.0
"""The live page of a run: an HTTP server and the HTML, CSS and JavaScript it serves."""
