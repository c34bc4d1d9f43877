"""Hints at tables and fields that a projection names and the ledger lacks."""

from dataclasses import replace

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.hints import find_hints
from strandline.consumer.projection.definition import Column, ComposedProjection, Projection, RowProjection
from strandline.ledger import Ledger
from strandline.projections.licensing import licence_register

PARCELS = RowProjection(
    "parcels", "Test.", ("Parcel",), "current", "analysts", (Column("sku", "text", ""),), lambda _: [],
    subjects=("Parcel.sku",), fields=("sku", "weight"),
)  # fmt: skip
COMPOSED = ComposedProjection(
    "both", "Test.", {"Parcel": ("sku",), "Order": ("parcel",)}, "analysts", (), keys=lambda _: (),
    compose=lambda key, lookup: [],
)  # fmt: skip


def hints(url: str, *projections: Projection) -> list[str]:
    with connect(url) as connection:
        return find_hints(connection, projections)


def test_misspelt_tables_and_fields_are_pointed_out_with_the_nearest_name(database: str) -> None:
    misspelt = replace(PARCELS, tables=("Parcle",))
    assert hints(database, misspelt) == []  # the ledger has no tables yet
    with Ledger(database) as ledger:
        ledger.execute(lambda txn: [txn.create_table(name) for name in ("Parcel", "Order")])
        ledger.execute(lambda txn: txn.insert("Parcel", {"sku": "A", "weight": 1}))
        ledger.execute(lambda txn: txn.insert("Order", {"parcel": "A"}))
    assert hints(database, PARCELS, COMPOSED) == []
    assert hints(database, misspelt)[0] == "parcels: the ledger has no table 'Parcle'; the nearest name is 'Parcel'."
    (other,) = hints(database, replace(PARCELS, tables=("Xyz",), fields=None, subjects=()))
    assert other.startswith("parcels: the ledger has no table 'Xyz'; it has ")
    assert hints(database, replace(PARCELS, fields=("sku", "Wieght"))) == [
        "parcels: no document of Parcel has a field 'Wieght'; the nearest name is 'weight'."
    ]
    assert hints(database, replace(PARCELS, subjects=("Parcel.skuu",))) == [
        "parcels: no document of Parcel has a field 'skuu'; the nearest name is 'sku'."
    ]
    assert hints(database, replace(COMPOSED, lookups={"Parcel": ("sku",), "Order": ("parcell",)})) == [
        "both: no document of Order has a field 'parcell'; the nearest name is 'parcel'."
    ]
    assert hints(database, replace(PARCELS, fields=("sku", "until"))) == []  # documents may get it later
    assert hints(database, licence_register.PROJECTION) == []  # a sample
