"""A certificate template that scenarios edit, as an administrator would write it."""

from __future__ import annotations

from typing import Final

TEMPLATE_NAME: Final = "DeviceSign"
DEVICE_TEMPLATE: Final = """\
display_name = "Corp Device Signing"
oid = "1.3.6.1.4.1.311.21.8.1.2.3.4.5.6.1.7"
schema_version = 2
subject_type = "computer"

[extensions]
key_usage = ["digitalSignature", "keyEncipherment"]
application_policies = ["Client Authentication"]

"""
