"""`pulumi up`: Strandline on AWS. Step by step: docs/aws.md."""

import pulumi
from stack import Choices, Strandline

config = pulumi.Config("strandline")
made = Strandline(
    "strandline",
    Choices(
        image=config.require("image"),
        vpc_id=config.require("vpcId"),
        subnet_ids=tuple(config.require_object("subnetIds")),
        stream=config.get("stream") or None,
        workers=config.get_int("workers") or 2,
        fan_out=config.get_bool("fanOut") or False,
    ),
)
outputs = (
    "stream_name",
    "exports_bucket",
    "digests_bucket",
    "database_endpoint",
    "search_endpoint",
    "cluster",
    "service",
)
for name in outputs:
    pulumi.export(name, getattr(made, name))
