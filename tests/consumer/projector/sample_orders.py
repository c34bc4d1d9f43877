"""A composed projection of orders, which the tests of fillers and rebuilds share."""

from collections.abc import Iterable, Mapping
from typing import Any

from strandline.consumer.projection.definition import (
    Column,
    ComposedProjection,
    KeyLookup,
    Lookup,
    Revision,
    Rows,
    Unprojectable,
)
from tests.consumer.projector.sample_projections import Written

# An order has lines, a line names a product by its code: Order -> Line -> Product.


def keys(revision: Revision) -> Iterable[str | KeyLookup]:
    if revision.table == "Product":
        code = revision.text("code")
        if code is None:
            raise Unprojectable("code is missing or not text")
        yield KeyLookup("Line", "code", code)
    elif revision.field("raise keys"):
        raise RuntimeError(f"the payload: {revision.data}")
    elif (order := revision.text("order")) is not None:
        yield order


def compose(key: str, lookup: Lookup) -> Rows:
    for order in lookup("Order", "order", key):
        for line in lookup("Line", "order", key):
            for product in lookup("Product", "code", line.field("code")):
                if product.field("raise"):
                    raise Unprojectable("it says so")
                row: Mapping[str, object] = {
                    "label": f"{order.document_id} {line.document_id} {product.document_id}",
                    "names": [order.text("name"), product.text("name")],
                    "amount": product.field("amount"),
                }
                yield row


ORDERS = ComposedProjection(
    name="orders",
    purpose="Test.",
    lookups={"Order": ("order",), "Line": ("order", "code"), "Product": ("code",)},
    readers="analysts",
    columns=(Column("label", "text", ""), Column("names", "jsonb", ""), Column("amount", "integer", "")),
    keys=keys,
    compose=compose,
    key=("label",),
)


def order(document: str, key: str, version: int = 0, name: str = "n") -> tuple[str, int, str, dict[str, Any] | None]:
    return (document, version, "Order", {"order": key, "name": name})


def line(document: str, key: str, code: Any, version: int = 0) -> tuple[str, int, str, dict[str, Any] | None]:
    return (document, version, "Line", {"order": key, "code": code})


def product(document: str, code: Any, version: int = 0, **more: Any) -> tuple[str, int, str, dict[str, Any] | None]:
    return (document, version, "Product", {"code": code, "name": "p", **more})


DOCUMENTS = {"o1": "Order", "o2": "Order", "l1": "Line", "l2": "Line", "p1": "Product", "p2": "Product"}
KINDS = ["A", "A", "B", "x", "bad", "raise", "big", "delete", "redact", "redact"]


class WrittenOrders(Written):
    """A history of orders as it is written: each document has one table."""

    def block(self, document: str, version: int, kind: str) -> None:
        self.strand.block((document, version, DOCUMENTS[document], self._data(document, version, kind)))

    def _data(self, document: str, version: int, kind: str) -> dict[str, Any] | None:
        name = {"name": f"{document}{version}"}
        odd = {"bad": {"order": 7, "code": 7}, "raise": {"raise": 1, "raise keys": 1}, "big": {"amount": 2**40}}
        if kind == "delete":
            return None
        key = "B" if kind == "B" else "A"
        return name | {"order": key, "code": "x" if kind != "A" else "y"} | odd.get(kind, {})
