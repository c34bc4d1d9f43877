"""A scrubbed export verifies, has the original's digest and no redacted data, in every format."""

import gzip
from pathlib import Path

import pytest

from strandline.consumer.erasure.scrub import Scrubbed, scrub_export
from strandline.consumer.verification.verify import verify_sources
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.make.format import Format
from strandline.journal.sources.source import local_sources
from tests.consumer.erasure.canaries import WITHHELD, canaries, found_in, write_export
from tests.journals import STRAND

FORMATS = [Format.ION_TEXT, Format.ION_BINARY, Format.JSON]


def scrubbed(source: Path, destination: Path, **more: object) -> Scrubbed:
    options: dict[str, object] = {"strand_id": None, "register": {}, "workers": 1, **more}
    return scrub_export(str(source), destination, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", FORMATS)
def test_scrubbed_copy_lacks_redacted_data_and_nothing_else(format: Format, tmp_path: Path) -> None:
    made = canaries()
    source = write_export(tmp_path / "source", made.blocks, format)
    assert found_in(source, made.strings) == set(made.strings)
    done = scrubbed(source, tmp_path / "copy")
    assert found_in(tmp_path / "copy", made.strings) == set()
    assert found_in(tmp_path / "copy", [WITHHELD]) == {WITHHELD}
    before = verify_sources(local_sources(str(source)), workers=1)
    after = verify_sources(local_sources(str(tmp_path / "copy")), workers=1)
    assert (after.ok, after.digest, after.blocks, after.revisions) == (
        True,
        before.digest,
        before.blocks,
        before.revisions,
    )
    assert after.unexplained_redactions == 0
    assert (done.redactions, done.manifests, done.left_out) == (12, 2, 0)
    names = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert {p.relative_to(tmp_path / "copy").as_posix() for p in (tmp_path / "copy").rglob("*") if p.is_file()} == names


@pytest.mark.parametrize("format", FORMATS)
def test_statements_in_an_export_after_the_redaction_are_erased(format: Format, tmp_path: Path) -> None:
    made = canaries()
    source = write_export(tmp_path / "source", made.as_exported(), format)
    quoted = found_in(source, made.strings)
    assert len(quoted) == 4
    scrubbed(source, tmp_path / "copy")
    assert found_in(tmp_path / "copy", made.strings) == set()


def test_export_before_the_redactions_is_scrubbed_by_the_register(tmp_path: Path) -> None:
    made = canaries()
    source = write_export(tmp_path / "source", made.as_exported(made.first_redaction))
    register = {(named.document_id, named.version): None for named in made.redactions.values()}
    assert scrubbed(source, tmp_path / "other", strand_id="Another", register=register).changed == 0
    done = scrubbed(source, tmp_path / "copy", strand_id=STRAND, register=register)
    assert found_in(tmp_path / "copy", made.strings) == set()
    # No redaction in the copy explains these: 12 revisions, and 4 blocks with erased statements.
    assert done.verification.unexplained_redactions == 16


@pytest.mark.parametrize("format", FORMATS)
def test_compressed_objects_stay_compressed(format: Format, tmp_path: Path) -> None:
    made = canaries()
    source = write_export(tmp_path / "source", made.blocks, format)
    objects = [path.relative_to(source) for path in source.rglob("*") if path.suffix in (".ion", ".json")]
    for name in objects:
        (source / name).write_bytes(gzip.compress((source / name).read_bytes()))
    digest = verify_sources(local_sources(str(source)), workers=1).digest
    assert scrubbed(source, tmp_path / "copy").verification.digest == digest
    plain = b"".join(gzip.decompress((tmp_path / "copy" / name).read_bytes()) for name in objects)
    assert WITHHELD.encode() in plain
    assert not [string for string in made.strings if string.encode() in plain]


def test_manifest_selects_one_export_of_a_folder(tmp_path: Path) -> None:
    made = canaries()
    source = write_export(tmp_path / "source", made.blocks)
    (source / "notes.txt").write_text("not of the export")
    (manifest,) = source.glob("*.completed.manifest")
    done = scrubbed(manifest, tmp_path / "copy")
    assert (done.manifests, done.left_out) == (2, 0)
    assert scrubbed(source, tmp_path / "folder").left_out == 1


def test_source_that_does_not_verify_is_not_copied(tmp_path: Path) -> None:
    source = write_export(tmp_path / "source", canaries().blocks, Format.ION_TEXT)
    path = next(source.rglob("*.ion"))
    path.write_text(path.read_text().replace(WITHHELD, "Forged"))
    with pytest.raises(StrandlineError, match="does not verify"):
        scrubbed(source, tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []


def test_destination_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    source = write_export(tmp_path / "source", canaries().blocks)
    with pytest.raises(UsageError, match="not empty"):
        scrubbed(source, source)
