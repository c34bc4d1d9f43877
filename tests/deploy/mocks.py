"""A stack of the Pulumi program against Pulumi's mocks: nothing is made, and no account is needed."""

import asyncio
from pathlib import Path
from typing import Any

import pulumi
import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


class Mocks(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.protected: set[str] = set()

    def new_resource(self, args: Any) -> tuple[str, dict[str, Any]]:
        self.made[f"{args.typ} {args.name}"] = args.inputs
        extra = {
            "arn": f"arn:{args.typ}:{args.name}",
            "name": args.name,
            "bucket": args.name,
            "endpoint": f"{args.name}.internal",
            "masterUserSecrets": [{"secretArn": "arn:secret"}],
        }
        return f"{args.name}-id", {**extra, **args.inputs}

    def call(self, args: Any) -> dict[str, Any]:
        return {"region": "eu-west-2", "accountId": "123456789012", "id": "x"}

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [inputs for key, inputs in self.made.items() if key.startswith(f"{kind} ")]

    def one(self, kind: str, name: str = "") -> dict[str, Any]:
        [found] = [inputs for key, inputs in self.made.items() if key.startswith(f"{kind} ") and name in key]
        return found


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Mocks:
    """The resources of a stack; a parameter of the test has more choices."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    mocks = Mocks()
    pulumi.runtime.set_mocks(mocks, project="strandline", stack="test")
    monkeypatch.syspath_prepend(str(DEPLOY))
    from stack import Choices, Strandline

    more = getattr(request, "param", {})
    choices = Choices("registry/strandline@sha256:0", "vpc-1", ("subnet-1", "subnet-2"), **more)
    begin = pulumi.CustomResource.__init__

    def note(self: Any, kind: str, name: str, props: Any = None, opts: Any = None, *more: Any, **named: Any) -> None:
        if opts is not None and opts.protect:
            mocks.protected.add(kind)
        begin(self, kind, name, props, opts, *more, **named)

    monkeypatch.setattr(pulumi.CustomResource, "__init__", note)

    @pulumi.runtime.test
    def make() -> None:
        Strandline("strandline", choices)

    make()
    return mocks
