"""Sources as a user names them: exports by manifest or by names, and archives of raw records."""

from pathlib import Path

import pytest

from strandline.journal.errors import StrandlineError, UnreadableError, UsageError
from strandline.journal.ion import values as ion
from strandline.journal.sources.source import Source, all_items, local_sources
from tests.journals import STRAND, ion_binary, small_journal

VECTORS = Path(__file__).parents[2] / "vectors" / "stream"
MANIFEST = f"export1.{STRAND}.completed.manifest"


def put(folder: Path, name: str, data: bytes = b"x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def manifest(folder: Path, *keys: str, name: str = MANIFEST) -> Path:
    return put(folder, name, ion.write_text({"keys": list(keys)}).encode())


def names(source: Source) -> list[str]:
    return [item.name for item in source.items]


def test_objects_without_manifest_are_ordered_by_numbers(tmp_path: Path) -> None:
    for numbers in ("10-19", "0-9", "100-120"):
        put(tmp_path, f"2020/01/02/03/{STRAND}.{numbers}.ion")
    put(tmp_path, "README.txt")
    (source,) = local_sources(str(tmp_path))
    assert source.kind == "export"
    assert [(item.first_no, item.last_no) for item in source.items] == [(0, 9), (10, 19), (100, 120)]


@pytest.mark.parametrize("end", ["ion", "json", "10n", "ion.gz", "json.gz"])
def test_object_name_is_matched_at_its_end(tmp_path: Path, end: str) -> None:
    put(tmp_path, f"some.prefix.2020/{STRAND}.3-4.{end}")
    (source,) = local_sources(str(tmp_path))
    assert [(item.first_no, item.last_no) for item in source.items] == [(3, 4)]


def test_manifest_orders_objects_copied_elsewhere(tmp_path: Path) -> None:
    keys = [f"a.b/c/2020/{STRAND}.{numbers}.ion" for numbers in ("5-9", "0-4")]
    for below in ("a.b/c/2020", "2020", ""):
        folder = tmp_path / (below.replace("/", "-") or "flat")
        for key in keys:
            put(folder, f"{below}/{Path(key).name}".lstrip("/"))
        found = manifest(folder, *keys)
        for address in (found, folder):
            (source,) = local_sources(str(address))
            assert names(source) == keys
            assert all(item.files for item in source.items)


def test_missing_object_keeps_its_name(tmp_path: Path) -> None:
    manifest(tmp_path, f"x/{STRAND}.0-4.ion")
    (source,) = local_sources(str(tmp_path))
    assert [(item.name, item.files) for item in source.items] == [(f"x/{STRAND}.0-4.ion", ())]


def test_keys_do_not_escape_the_folder(tmp_path: Path) -> None:
    put(tmp_path, "secret.ion")
    manifest(tmp_path / "export", "../secret.ion", "/etc/passwd")
    (source,) = local_sources(str(tmp_path / "export"))
    assert [item.files for item in source.items] == [(), ()]


def test_exports_are_ordered_by_first_block(tmp_path: Path) -> None:
    for name, numbers in (("a", "9-12"), ("b", "0-8")):
        put(tmp_path, f"{name}/{STRAND}.{numbers}.ion")
        manifest(tmp_path / name, f"{name}/{STRAND}.{numbers}.ion")
    assert [source.first_no for source in local_sources(str(tmp_path))] == [0, 9]


def test_shared_object_is_read_once(tmp_path: Path) -> None:
    put(tmp_path, f"{STRAND}.0-8.ion")
    manifest(tmp_path, f"{STRAND}.0-8.ion")
    sources = local_sources(str(tmp_path)) + local_sources(str(tmp_path / f"{STRAND}.0-8.ion"))
    assert len(list(all_items(sources))) == 1


@pytest.mark.parametrize("text", ["{objects: []}", "{keys: 7}", "{keys: [1]}", "[1]", "not { ion", ""])
def test_invalid_manifest_is_refused(tmp_path: Path, text: str) -> None:
    put(tmp_path, MANIFEST, text.encode())
    with pytest.raises(UnreadableError, match="not a completed manifest"):
        local_sources(str(tmp_path))


def test_manifest_without_objects_is_refused(tmp_path: Path) -> None:
    for address in (manifest(tmp_path), tmp_path):
        with pytest.raises(StrandlineError, match="no"):
            local_sources(str(address))


def test_missing_or_empty_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        local_sources(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="no such file"):
        local_sources("x" * 5000)
    put(tmp_path, "README.txt", b"hello")
    with pytest.raises(StrandlineError, match="holds no export objects"):
        local_sources(str(tmp_path))


def test_single_object_can_have_any_name(tmp_path: Path) -> None:
    (source,) = local_sources(str(put(tmp_path, "journal.bin", ion_binary(small_journal()))))
    assert (source.kind, names(source)) == ("export", ["journal.bin"])


@pytest.mark.parametrize("name", ["evidence-store_kpl_0.bin", "00_BLOCK_SUMMARY.10n"])
def test_records_are_recognised_by_content(tmp_path: Path, name: str) -> None:
    data = (VECTORS / name).read_bytes()
    path = put(tmp_path, "0001.ion", data)
    put(tmp_path, ".DS_Store")
    for address in (path, tmp_path):
        (source,) = local_sources(str(address))
        assert source.kind == "records"
        assert [file.name for item in source.items for file in item.files] == ["0001.ion"]


def test_records_are_batched_by_size_and_number(tmp_path: Path) -> None:
    data = (VECTORS / "evidence-store_kpl_0.bin").read_bytes()
    for number in range(1200):
        put(tmp_path, f"{number:04d}.bin", data if number == 0 else b"")
    put(tmp_path, "large", bytes(5_000_000))
    (source,) = local_sources(str(tmp_path))
    assert [len(item.files) for item in source.items] == [500, 500, 200, 1]
