# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: settings, tables, state as JSON, live page, report, comparison of runs."""
