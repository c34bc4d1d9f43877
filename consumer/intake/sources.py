"""Opens the sources that a user names: local or in S3."""

from collections.abc import Iterable

from strandline.journal.sources.source import Source, local_sources


def open_sources(addresses: Iterable[str]) -> list[Source]:
    """Return the sources of folders, manifests and files, local or at `s3://bucket/prefix`, in the order given.

    Raises UsageError for one that does not exist, StrandlineError for one that holds no journal or cannot be read.
    """
    return [source for address in addresses for source in _sources_at(address)]


def _sources_at(address: str) -> list[Source]:
    if not address.startswith("s3://"):
        return local_sources(address)
    from strandline.consumer.intake.s3 import s3_sources

    return s3_sources(address)
