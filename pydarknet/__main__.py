# SPDX-License-Identifier: Apache-2.0
"""``python -m pydarknet`` is the ``pydarknet`` command."""

from pydarknet.cli import main

main()
