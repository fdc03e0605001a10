# SPDX-License-Identifier: Apache-2.0
"""The package's version, the same as in package.xml."""

VERSION = "0.1.0"
