"""Helpers for the tests of your own projections.

from strandline.testing import preview

def test_address_is_one_line():
    found = preview(PROJECTION, {"Licence": [{"licenceId": "L-1", "street": "1 Mill Lane"}]})
    assert found.rows == [{"licence_id": "L-1", "address": "1 Mill Lane"}]
    assert found.parked == {}
"""

from strandline.consumer.projector.preview import Entry, Preview
from strandline.consumer.projector.preview import preview_documents as preview

__all__ = ["Entry", "Preview", "preview"]
