"""Fictitious people for simulated journals: no name, address, number or mail address here reaches anyone.

Mail addresses are in example.org (RFC 2606); mobile numbers are in the range that Ofcom keeps for drama.
"""

from random import Random
from typing import Any

_FIRST = (
    "Ada Amara Bea Bronwen Callum Chidi Dilys Eleri Ewan Farah Femi Gethin Hanna Idris Isla Jaya Kofi Łukasz Mairi "
    "Nadia Niamh Omar Oona Priya Rhys Rosa Siân Tariq Una Wren Yusuf Zoë"
).split()
_LAST = (
    "Abara Ashdown Birk Carrow Dunmore Elphick Farthing Gwynne Haddow Ibekwe Jessop Kettle Lindqvist Marlow Novák "
    "O'Dowd Pennington Quill Rahmani Sorley Thackray Umber Vaughan Whitlock Yarrow Zielińska"
).split()
_STREET = "Alder Beacon Chapel Drover Elm Ferry Granary Harbour Ivy Jubilee Kiln Lantern Mill Orchard Quarry".split()
_KIND = "Street Road Lane Close Row Terrace".split()
_COUNTY = (
    "Avon,Cumbria,Devon,Dyfed,East Sussex,Fife,Gwynedd,Kent,Norfolk,Powys,Somerset,Tyne and Wear,West Yorkshire"
).split(",")
_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"


def person(random: Random) -> dict[str, Any]:
    """Return firstName, lastName, and the fields of `address`."""
    return {"firstName": random.choice(_FIRST), "lastName": random.choice(_LAST), **address(random)}


def address(random: Random) -> dict[str, Any]:
    """Return street, county and postcode."""
    area, unit = ("".join(random.choices(_LETTERS, k=2)) for _ in range(2))
    return {
        "street": f"{random.randrange(1, 300)} {random.choice(_STREET)} {random.choice(_KIND)}",
        "county": random.choice(_COUNTY),
        "postcode": f"{area}{random.randrange(1, 30)} {random.randrange(1, 10)}{unit}",
    }


def email(random: Random, first: str, last: str) -> str:
    return f"{first}.{last}{random.randrange(100, 1000)}@example.org".lower().replace("'", "")


def mobile(random: Random) -> str:
    return f"+44 7700 900{random.randrange(1000):03d}"


def licence_id(random: Random, last: str) -> str:
    """Return an id in the style of a British driver number; like business keys, it may not be unique."""
    stem = "".join(letter for letter in last.upper() if letter.isascii() and letter.isalpha())
    return f"{stem[:5]:9<5}{random.randrange(1_000_000):06d}{''.join(random.choices(_LETTERS, k=5))}"
