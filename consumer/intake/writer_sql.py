"""The statements of an intake.

Every writer writes blocks, then revisions, each in the order of their keys: two that overlap wait for each other, but
never in a circle.
"""

from strandline.journal.decode.copy_format import BLOCK_COLUMNS, REVISION_COLUMNS


def _names(columns: tuple[tuple[str, str], ...], prefix: str = "") -> str:
    return ", ".join(prefix + name for name, _ in columns)


def _stage(name: str, columns: tuple[tuple[str, str], ...]) -> str:
    declared = ", ".join(f"{column} {type_}" for column, type_ in columns)
    return f"CREATE TEMP TABLE IF NOT EXISTS {name} ({declared}) ON COMMIT DELETE ROWS"


def _copy(name: str, columns: tuple[tuple[str, str], ...]) -> str:
    return f"COPY {name} ({_names(columns)}) FROM STDIN (FORMAT binary)"


STAGE_BLOCKS = _stage("staged_block", BLOCK_COLUMNS)
STAGE_REVISIONS = _stage("staged_revision", REVISION_COLUMNS)
COPY_BLOCKS = _copy("staged_block", BLOCK_COLUMNS)
COPY_REVISIONS = _copy("staged_revision", REVISION_COLUMNS)

# Into the journal itself: a range of which nothing is stored needs no stage (bulk_copy.py).
COPY_FRESH_BLOCKS = _copy("journal.block", BLOCK_COLUMNS)
COPY_FRESH_REVISIONS = _copy("journal.revision", REVISION_COLUMNS)
ENSURE_PARTITIONS_BETWEEN = "SELECT journal.ensure_partitions(%s, %s)"

# Ordered, to use an index: the planner expects rows in any range, and would scan for the first from the start.
_HOLDS = (
    "(SELECT true FROM journal.{} WHERE sequence_no BETWEEN %(first)s AND %(last)s ORDER BY sequence_no LIMIT 1)"
    " IS NOT NULL"
)
HOLDS = f"""
    {" OR ".join(map(_HOLDS.format, ("block", "revision", "redaction")))} OR EXISTS (
        SELECT FROM journal.rejected r WHERE r.fault = 'operator' AND r.sequence_no BETWEEN %(first)s AND %(last)s)"""
HOLDS_SOME = f"SELECT {HOLDS}"

# Memory for the sort of one intake, whose rows hold documents.
WORK_MEMORY = "SET LOCAL work_mem = '64MB'"

ENSURE_PARTITIONS = """
    SELECT journal.ensure_partitions(number, number)
    FROM (SELECT DISTINCT sequence_no / 100000 * 100000 AS number FROM staged_revision ORDER BY 1) AS part"""

INSERT_BLOCKS = f"""
    INSERT INTO journal.block ({_names(BLOCK_COLUMNS)})
    SELECT {_names(BLOCK_COLUMNS)} FROM staged_block
    ORDER BY sequence_no, block_hash, level = 'full' DESC
    ON CONFLICT (sequence_no, block_hash) DO NOTHING"""

# A redaction names its revision by block and id, and if it is known by hash: a copy from JSON may have another id.
_REGISTERED = """
    LEFT JOIN LATERAL (
        SELECT true AS registered, d.data_hash AS erased_hash FROM journal.redaction d
        WHERE d.sequence_no = s.sequence_no
          AND (d.revision_hash = s.hash OR (d.document_id = s.document_id AND d.version = s.version))
        LIMIT 1
    ) d ON true"""

# Registered revisions are stored without their data, however old the copy is.
INSERT_REVISIONS = f"""
    INSERT INTO journal.revision ({_names(REVISION_COLUMNS)})
    SELECT s.sequence_no, s.hash, s.document_id, s.version, s.table_id, s.table_name,
           CASE WHEN d.registered AND s.state = 'normal' THEN 'redacted' ELSE s.state END,
           s.level, s.tx_id, s.tx_time,
           CASE WHEN d.registered IS NULL THEN s.data END,
           CASE WHEN d.registered IS NULL THEN s.data_ion END,
           coalesce(s.data_hash, d.erased_hash), s.metadata,
           CASE WHEN d.registered IS NULL THEN s.shape END
    FROM staged_revision s {_REGISTERED}
    ORDER BY s.sequence_no, s.hash, s.level = 'full' DESC, s.state = 'redacted'
    ON CONFLICT (sequence_no, hash) DO NOTHING"""

# Blocks whose statement texts a redaction has erased, or would erase.
REGISTERED_BLOCKS = """
    SELECT DISTINCT sequence_no FROM journal.redaction WHERE sequence_no BETWEEN %(first)s AND %(last)s"""

# The register has the hash of the erased data. Other data under the same name is not the data that it means.
REFUSE_MISREGISTERED = """
    DELETE FROM staged_revision s
    USING journal.redaction d
    WHERE d.sequence_no BETWEEN %(first)s AND %(last)s
      AND s.sequence_no = d.sequence_no AND s.document_id = d.document_id AND s.version = d.version
      AND (s.data_hash <> d.data_hash OR s.hash <> d.revision_hash)
    RETURNING s.sequence_no, s.hash, s.document_id, s.version"""
REFUSE_THEIR_BLOCKS = """
    DELETE FROM staged_block b
    USING unnest(%s::bigint[], %s::bytea[]) AS refused (sequence_no, hash)
    WHERE b.sequence_no = refused.sequence_no AND refused.hash = ANY (b.revision_hashes)"""

# For data that was redacted in a copy from JSON, an Ion copy gives the hash.
COMPLETE_REGISTER = """
    UPDATE journal.redaction d SET data_hash = r.data_hash
    FROM journal.revision r
    WHERE d.data_hash IS NULL AND d.sequence_no BETWEEN %(first)s AND %(last)s
      AND r.sequence_no BETWEEN %(first)s AND %(last)s
      AND r.sequence_no = d.sequence_no AND r.document_id = d.document_id AND r.version = d.version"""

COMPLETE_BLOCKS = """
    WITH incomplete AS (
        SELECT b.sequence_no, b.block_hash
        FROM journal.block b
        WHERE NOT b.complete AND b.sequence_no BETWEEN %(first)s AND %(last)s AND EXISTS (
            SELECT FROM staged_block s
            WHERE s.complete AND s.sequence_no = b.sequence_no AND s.block_hash = b.block_hash)
        ORDER BY b.sequence_no, b.block_hash
        FOR UPDATE
    )
    UPDATE journal.block b SET complete = true
    FROM incomplete i
    WHERE b.sequence_no = i.sequence_no AND b.block_hash = i.block_hash"""

# A verified copy in Ion replaces one from JSON. Below the mark that is a change, even if no value differs.
_UPGRADED_BLOCK = (
    "complete transaction_id block_time revision_hashes revision_documents transaction_info redaction_info redactions"
    " statement_kinds definitions tables"
).split()
_SHOWN_OF_BLOCK = ("transaction_id block_time revision_documents redactions statement_kinds definitions tables").split()
# Also a copy that is shown to be complete replaces one above the mark that is not.
UPGRADE_BLOCKS = f"""
    WITH omitting AS (
        SELECT * FROM unnest(%(omitting_numbers)s::bigint[], %(omitting_hashes)s::bytea[])
            AS o (sequence_no, block_hash)
    ), better AS (
        SELECT s.*, ({", ".join(f"s.{name}" for name in _SHOWN_OF_BLOCK)})
                    IS DISTINCT FROM ({", ".join(f"b.{name}" for name in _SHOWN_OF_BLOCK)}) AS differs
        FROM (
            SELECT DISTINCT ON (sequence_no, block_hash) * FROM staged_block
            WHERE NOT EXISTS (
                SELECT FROM omitting o
                WHERE o.sequence_no = staged_block.sequence_no AND o.block_hash = staged_block.block_hash)
            ORDER BY sequence_no, block_hash, level = 'full' DESC
        ) s
        JOIN journal.block b USING (sequence_no, block_hash)
        WHERE b.sequence_no BETWEEN %(first)s AND %(last)s AND (
            (b.level = 'chain' AND s.level = 'full')
            OR (b.level = s.level AND b.sequence_no > (SELECT sequence_no FROM journal.mark) AND EXISTS (
                SELECT FROM journal.omission o
                WHERE o.sequence_no = b.sequence_no AND o.block_hash = b.block_hash)))
        ORDER BY b.sequence_no, b.block_hash
        FOR UPDATE OF b
    ), shown AS (
        DELETE FROM journal.omission o USING better
        WHERE o.sequence_no = better.sequence_no AND o.block_hash = better.block_hash
    )
    UPDATE journal.block b
    SET level = better.level, {", ".join(f"{name} = better.{name}" for name in _UPGRADED_BLOCK)}
    FROM better
    WHERE b.sequence_no = better.sequence_no AND b.block_hash = better.block_hash
    RETURNING b.sequence_no, better.differs"""

# Of blocks that are not stored yet: a copy that omits something does not spoil a stored one that does not.
NOT_STORED = """
    SELECT o.place FROM unnest(%(omitting_numbers)s::bigint[], %(omitting_hashes)s::bytea[])
        WITH ORDINALITY AS o (sequence_no, block_hash, place)
    WHERE NOT EXISTS (
        SELECT FROM journal.block b WHERE b.sequence_no = o.sequence_no AND b.block_hash = o.block_hash)"""
ADD_OMISSIONS = """
    INSERT INTO journal.omission (sequence_no, block_hash, detail)
    SELECT o.* FROM unnest(%s::bigint[], %s::bytea[], %s::text[]) AS o (sequence_no, block_hash, detail)
    JOIN journal.block b USING (sequence_no, block_hash)
    ON CONFLICT DO NOTHING"""

# The Ion copy decides: a revision of JSON's may have another id, table, version or time, or claim to be redacted. What
# the register names stays without data. A copy without data does not replace one from JSON with data.
_UPGRADED_REVISION = "document_id version table_id table_name tx_id tx_time state data".split()
UPGRADE_REVISIONS = f"""
    WITH staged AS (
        SELECT DISTINCT ON (s.sequence_no, s.hash)
               s.sequence_no, s.hash, s.document_id, s.version, s.table_id, s.table_name, s.tx_id, s.tx_time,
               s.metadata, s.state AS copy_state, coalesce(d.registered, false) AS registered,
               CASE WHEN d.registered AND s.state = 'normal' THEN 'redacted' ELSE s.state END AS state,
               CASE WHEN d.registered IS NULL THEN s.data END AS data,
               CASE WHEN d.registered IS NULL THEN s.data_ion END AS data_ion,
               coalesce(s.data_hash, d.erased_hash) AS data_hash,
               CASE WHEN d.registered IS NULL THEN s.shape END AS shape
        FROM staged_revision s {_REGISTERED}
        WHERE s.level = 'full'
        ORDER BY s.sequence_no, s.hash, s.state = 'redacted'
    ), better AS (
        SELECT s.*, r.document_id AS document_before, r.table_id AS table_before, r.shape AS shape_before,
               ({", ".join(f"s.{name}" for name in _UPGRADED_REVISION)})
               IS DISTINCT FROM ({", ".join(f"r.{name}" for name in _UPGRADED_REVISION)}) AS differs
        FROM staged s JOIN journal.revision r USING (sequence_no, hash)
        WHERE r.level = 'chain' AND (s.copy_state <> 'redacted' OR s.registered OR r.state = 'redacted')
          AND r.sequence_no BETWEEN %(first)s AND %(last)s
        ORDER BY r.sequence_no, r.hash
        FOR UPDATE OF r
    )
    UPDATE journal.revision r
    SET level = 'full', data_ion = better.data_ion, data_hash = better.data_hash, metadata = better.metadata,
        shape = better.shape, {", ".join(f"{name} = better.{name}" for name in _UPGRADED_REVISION)}
    FROM better
    WHERE r.sequence_no = better.sequence_no AND r.hash = better.hash AND r.sequence_no BETWEEN %(first)s AND %(last)s
    RETURNING r.sequence_no, better.differs, better.document_before, better.table_before, better.shape_before,
              r.table_id, r.shape"""

TOUCHES_ACCEPTED_GAP = """
    SELECT EXISTS (
        SELECT FROM journal.accepted_gap g, journal.mark m
        WHERE g.first_no <= least(%(last)s, m.sequence_no) AND g.last_no >= %(first)s)"""

# Blocks for numbers that the mark has skipped, with the hashes that their stored neighbours give for them.
FOUND_BLOCKS = """
    SELECT DISTINCT s.sequence_no, s.block_hash, s.previous_hash, s.complete,
           (SELECT b.block_hash FROM journal.block b WHERE b.sequence_no = s.sequence_no - 1),
           (SELECT b.previous_hash FROM journal.block b
            WHERE b.sequence_no = s.sequence_no + 1 AND b.sequence_no <= m.sequence_no)
    FROM staged_block s, journal.mark m
    WHERE s.sequence_no BETWEEN m.origin AND m.sequence_no
      AND NOT EXISTS (SELECT FROM journal.block b WHERE b.sequence_no = s.sequence_no)
    ORDER BY s.sequence_no DESC"""

REFUSE_BLOCKS = """
    DELETE FROM staged_block s
    USING journal.mark m
    WHERE s.sequence_no <= m.sequence_no
      AND NOT EXISTS (
          SELECT FROM journal.block b WHERE b.sequence_no = s.sequence_no AND b.block_hash = s.block_hash)
      AND NOT EXISTS (
          SELECT FROM unnest(%s::bigint[], %s::bytea[]) AS found (sequence_no, block_hash)
          WHERE found.sequence_no = s.sequence_no AND found.block_hash = s.block_hash)
    RETURNING s.sequence_no, s.block_hash, s.revision_hashes, s.sequence_no < m.origin,
              (SELECT b.block_hash FROM journal.block b WHERE b.sequence_no = s.sequence_no)"""

REFUSE_REJECTED = """
    DELETE FROM staged_block s
    USING journal.rejected r
    WHERE r.fault = 'operator' AND r.sequence_no = s.sequence_no AND r.block_hash = s.block_hash
    RETURNING s.sequence_no, s.block_hash, s.revision_hashes"""

# The revisions of a refused block go with it, unless a stored block names them too: its intake brought those.
REFUSE_THEIR_REVISIONS = """
    DELETE FROM staged_revision s
    USING unnest(%s::bigint[], %s::bytea[]) AS refused (sequence_no, hash)
    WHERE s.sequence_no = refused.sequence_no AND s.hash = refused.hash AND NOT EXISTS (
        SELECT FROM journal.block b WHERE b.sequence_no = s.sequence_no AND s.hash = ANY (b.revision_hashes))"""

REFUSE_REVISIONS = """
    DELETE FROM staged_revision s
    USING journal.mark m
    WHERE s.sequence_no <= m.sequence_no AND NOT EXISTS (
        SELECT FROM journal.block b WHERE b.sequence_no = s.sequence_no AND s.hash = ANY (b.revision_hashes))
    RETURNING s.sequence_no, s.hash, s.document_id, s.version"""

ADD_OBJECT = """
    INSERT INTO journal.object (digest, name, first_no, last_no, blocks, revisions, gapless)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (digest) DO NOTHING"""

TAKEN_OBJECTS = "SELECT digest FROM journal.object WHERE digest = ANY (%s)"

BEGIN_STRAND = """
    UPDATE journal.mark
    SET strand_id = %(strand)s, origin = %(origin)s, sequence_no = %(origin)s - 1
    WHERE strand_id IS NULL"""
