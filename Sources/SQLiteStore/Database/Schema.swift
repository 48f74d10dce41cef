import GRDB
import SessionModel

/// The tables, their versions, and how the store recognizes its own files.
///
/// Child tables name a session by its rowid. Rows are appended in rowid order wherever there are
/// many of them: `WITHOUT ROWID` by (session, k) writes a page a session and transaction, and
/// measured three times slower. Foreign keys guard the session only: every other reference would
/// need an index that nothing reads.
enum Schema {
    /// "LBFG": distinguishes the store's files from other SQLite databases, also for file(1).
    static let applicationID: Int64 = 0x4C42_4647

    /// Each migrates a file from the version before; a file's version is the number of migrations
    /// applied. The SQL of a released one is never edited.
    static let migrations: [Migration] = [
        Migration(sql: version1), Migration(sql: version2), Migration(sql: version3),
        Migration(sql: version4, seals: sealedByVersion4), Migration(sql: version5),
        Migration(sql: version6),
    ]

    struct Migration {
        var sql: String
        /// Rows that get a checksum, or another.
        var seals: [RowSealing] = []
    }

    static let version1 = """
        -- Counts that would otherwise take a scan; one row.
        CREATE TABLE store (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            sessions INTEGER NOT NULL,
            probes INTEGER NOT NULL
        ) STRICT;
        INSERT INTO store VALUES (1, 0, 0);

        CREATE TABLE session (
            id INTEGER PRIMARY KEY AUTOINCREMENT, -- page tokens: never used twice
            public_id TEXT NOT NULL UNIQUE,
            next_checkpoint INTEGER NOT NULL,
            name TEXT,
            labels TEXT NOT NULL,                 -- JSON
            dtype TEXT NOT NULL,
            origin_session TEXT,
            origin_checkpoint INTEGER,
            created_at INTEGER NOT NULL,
            metadata_version INTEGER NOT NULL,
            parameters TEXT NOT NULL,             -- JSON
            memory_bytes INTEGER NOT NULL,
            crc INTEGER NOT NULL
        ) STRICT;

        -- Finds sessions by label; what is read of labels is in session.labels.
        CREATE TABLE session_label (
            session INTEGER NOT NULL REFERENCES session (id),
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (session, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX session_label_by_value ON session_label (key, value, session);

        -- Bytes written once and never changed: inline, or in a segment file.
        CREATE TABLE blob (
            id INTEGER PRIMARY KEY AUTOINCREMENT, -- vector identifiers: never used twice
            length INTEGER NOT NULL,
            crcs BLOB,                            -- CRC-32C of each chunk; NULL if empty
            bytes BLOB,                           -- NULL if empty or in a segment
            segment INTEGER,
            offset INTEGER
        ) STRICT;

        -- A blob that snapshots name, and how often; apart from the bytes, so that a count can
        -- change without writing them again.
        CREATE TABLE vector (
            id INTEGER PRIMARY KEY REFERENCES blob (id),
            names INTEGER NOT NULL
        ) STRICT;

        -- A journal entry. `payload` is a blob's identifier, and stays when the blob is collected.
        -- Evaluations rise with the sequence, so that they need no index, which would be a page
        -- more to write for each entry: see ReadTransaction.evaluated.
        CREATE TABLE event (
            id INTEGER PRIMARY KEY,
            session INTEGER NOT NULL REFERENCES session (id),
            sequence INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            time INTEGER NOT NULL,
            closed_evaluation INTEGER,
            result_digest BLOB,
            point_digest BLOB,
            standing_phase TEXT NOT NULL,
            standing_step INTEGER NOT NULL,
            standing_evaluation INTEGER NOT NULL,
            standing_loss INTEGER,
            payload INTEGER,
            k INTEGER,                            -- the evaluation; with what follows, its trace
            step INTEGER,
            iteration INTEGER,
            loss INTEGER,
            gradient_norm INTEGER,
            step_length INTEGER,
            evaluated_at INTEGER,
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX event_by_sequence ON event (session, sequence);

        -- How many entries a session has up to its newest snapshot, and how many of them have a
        -- trace.
        CREATE TABLE holding (
            session INTEGER PRIMARY KEY REFERENCES session (id),
            entries INTEGER NOT NULL,
            points INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE step (
            session INTEGER NOT NULL REFERENCES session (id),
            number INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            ended_at INTEGER NOT NULL,
            first_evaluation INTEGER NOT NULL,
            last_evaluation INTEGER NOT NULL,
            reason TEXT NOT NULL,
            loss_before INTEGER,
            loss INTEGER,
            gradient_norm INTEGER,
            iterations INTEGER NOT NULL,
            evaluations INTEGER NOT NULL,
            failure BLOB,                         -- of a line search: seven Float64s
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX step_by_number ON step (session, number);

        CREATE TABLE snapshot (
            id INTEGER PRIMARY KEY,
            session INTEGER NOT NULL REFERENCES session (id),
            sequence INTEGER NOT NULL,
            format_version INTEGER NOT NULL,
            numerics_version INTEGER NOT NULL,
            scalars INTEGER NOT NULL,             -- a blob
            vectors BLOB NOT NULL,                -- names and identifiers, see VectorList
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX snapshot_by_sequence ON snapshot (session, sequence);

        CREATE TABLE checkpoint (
            session INTEGER NOT NULL REFERENCES session (id),
            number INTEGER NOT NULL,
            name TEXT,
            sequence INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            standing_phase TEXT NOT NULL,
            standing_step INTEGER NOT NULL,
            standing_evaluation INTEGER NOT NULL,
            standing_loss INTEGER,
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX checkpoint_by_number ON checkpoint (session, number);
        CREATE INDEX checkpoint_by_sequence ON checkpoint (session, sequence);

        CREATE TABLE idempotency (
            scope TEXT NOT NULL,
            key TEXT NOT NULL,
            request_digest BLOB NOT NULL,
            outcome TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX idempotency_by_key ON idempotency (scope, key);
        CREATE INDEX idempotency_by_age ON idempotency (created_at);

        -- A message to a webhook.
        CREATE TABLE delivery (
            id INTEGER PRIMARY KEY AUTOINCREMENT, -- page tokens: never used twice
            public_id TEXT NOT NULL UNIQUE,
            session INTEGER NOT NULL REFERENCES session (id),
            session_id TEXT NOT NULL,             -- the session's public_id
            hook TEXT NOT NULL,
            event TEXT NOT NULL,
            url TEXT NOT NULL,
            secret TEXT NOT NULL,
            body BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            status TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            next_attempt_at INTEGER,
            last_attempt_at INTEGER,
            last_outcome TEXT,
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX delivery_by_hook ON delivery (session, hook, id);
        CREATE INDEX delivery_by_due ON delivery (next_attempt_at)
            WHERE next_attempt_at IS NOT NULL;
        CREATE INDEX delivery_by_end ON delivery (last_attempt_at)
            WHERE next_attempt_at IS NULL;

        -- A segment file: its committed length, and how many of its bytes are live.
        CREATE TABLE segment (
            id INTEGER PRIMARY KEY,
            size INTEGER NOT NULL,
            live INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX segment_dead ON segment (id) WHERE live = 0;

        -- Dead bytes of a segment that has live ones. Open: their blocks may not be given back yet.
        CREATE TABLE hole (
            segment INTEGER NOT NULL,
            start INTEGER NOT NULL,
            stop INTEGER NOT NULL,
            is_open INTEGER NOT NULL,
            PRIMARY KEY (segment, start)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX hole_open ON hole (segment, start, stop) WHERE is_open = 1;
        """

    static let version2 = """
        -- The epoch of the write-ahead log up to which all entries are in `event`.
        ALTER TABLE store ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
        """

    static let version3 = """
        -- Entries that nothing replays any more, many in a row, each encoded as its row in `event`
        -- would be; all have a trace. See TraceBatch.
        CREATE TABLE chapter (
            id INTEGER PRIMARY KEY,
            session INTEGER NOT NULL REFERENCES session (id),
            last_evaluation INTEGER NOT NULL,
            entries INTEGER NOT NULL,
            body BLOB NOT NULL,
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX chapter_by_evaluation ON chapter (session, last_evaluation);
        """

    static let version4 = """
        -- Random: each record of the write-ahead log has it. Empty before the first such record;
        -- those that the log may have then have none.
        ALTER TABLE store ADD COLUMN log_salt BLOB NOT NULL DEFAULT x'';
        -- Random: what clients get to continue a list is encrypted with it.
        ALTER TABLE store ADD COLUMN page_key BLOB NOT NULL DEFAULT x'';
        UPDATE store SET page_key = randomblob(16);
        ALTER TABLE session ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
        ALTER TABLE session ADD COLUMN expires_after INTEGER;     -- seconds; NULL: never
        CREATE INDEX session_by_tenant ON session (tenant);
        ALTER TABLE checkpoint ADD COLUMN keep INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE store ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE blob ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE vector ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE holding ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE segment ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE hole ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;

        -- A deleted session of which the write-ahead log may still have entries, and store.moved at
        -- its deletion. The empty name stands for all that were deleted before version 4.
        CREATE TABLE tombstone (
            public_id TEXT NOT NULL PRIMARY KEY,
            moved INTEGER NOT NULL,
            crc INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX tombstone_by_moved ON tombstone (moved);
        INSERT INTO tombstone SELECT '', moved, 0 FROM store
            WHERE EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'session');
        """

    static let version5 = """
        CREATE INDEX session_by_name ON session (name) WHERE name IS NOT NULL;
        -- Entries of the write-ahead log that can't go to `event`: see DetachedRow.
        CREATE TABLE detached (
            public_id TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            record BLOB NOT NULL,                 -- as in the log; empty if the entry is lost
            crc INTEGER NOT NULL,
            PRIMARY KEY (public_id, sequence)
        ) STRICT, WITHOUT ROWID;

        -- Sessions that were created together, from several starts of one problem.
        CREATE TABLE ensemble (
            id INTEGER PRIMARY KEY AUTOINCREMENT, -- page tokens: never used twice
            public_id TEXT NOT NULL UNIQUE,
            tenant TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            specification BLOB NOT NULL,          -- a property list
            outcome TEXT,                         -- why it is finished; NULL: it runs
            finished_at INTEGER,
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX ensemble_by_tenant ON ensemble (tenant);

        -- A session that is a member of an ensemble, and why its step was ended early, if it was.
        CREATE TABLE ensemble_member (
            ensemble INTEGER NOT NULL REFERENCES ensemble (id),
            number INTEGER NOT NULL,
            session INTEGER NOT NULL REFERENCES session (id),
            abandoned TEXT,
            abandoned_step INTEGER,
            abandoned_for INTEGER,                -- the number of another member
            crc INTEGER NOT NULL,
            PRIMARY KEY (ensemble, number)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX ensemble_member_by_session ON ensemble_member (session);
        """

    static let version6 = """
        -- Best loss, mode, newest gradient and line search: see EntryDetails. `crc` covers it
        -- unless it is NULL, as in rows from before.
        ALTER TABLE event ADD COLUMN details BLOB;
        """

    static let sealedByVersion4 = [
        RowSealing(
            table: "session", key: ["id"],
            columns: [
                "id", "public_id", "next_checkpoint", "name", "labels", "dtype", "origin_session",
                "origin_checkpoint", "created_at", "metadata_version", "parameters",
                "memory_bytes", "tenant", "expires_after",
            ], formerly: 1..<12),
        RowSealing(
            table: "checkpoint", key: ["rowid"],
            columns: [
                "session", "number", "name", "sequence", "created_at", "standing_phase",
                "standing_step", "standing_evaluation", "standing_loss", "keep",
            ], formerly: 0..<9),
        RowSealing(
            table: "store", key: ["id"],
            columns: ["id", "sessions", "probes", "moved", "log_salt", "page_key"]),
        RowSealing(
            table: "blob", key: ["id"], columns: ["id", "length", "crcs", "segment", "offset"]),
        RowSealing(table: "vector", key: ["id"], columns: ["id", "names"]),
        RowSealing(table: "holding", key: ["session"], columns: ["session", "entries", "points"]),
        RowSealing(table: "segment", key: ["id"], columns: ["id", "size", "live"]),
        RowSealing(table: "tombstone", key: ["public_id"], columns: ["public_id", "moved"]),
        RowSealing(
            table: "hole", key: ["segment", "start"],
            columns: ["segment", "start", "stop", "is_open"]),
    ]

    /// Creates the tables, or migrates them to the newest version. Throws `.incompatible`, without
    /// having changed anything, if the file belongs to another application or a newer program. All
    /// of it is one transaction, so that a crash leaves either nothing or everything.
    /// The version that this program writes.
    static var newestVersion: Int { migrations.count }

    static func prepare(_ database: Database) throws {
        let application = try Int64.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
        let isNew = application == 0 && version == 0 && tables == 0
        guard isNew || application == applicationID else {
            throw StoreError.incompatible("the database belongs to another application")
        }
        guard version <= migrations.count else {
            throw StoreError.incompatible(
                "the store has schema version \(version), newer than \(migrations.count), the "
                    + "newest that this program knows: run the newer program")
        }
        if isNew {
            // Only possible before the first table. Free pages are released incrementally later.
            try database.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL")
        }
        guard version < migrations.count else { return }
        try database.inTransaction(.immediate) {
            for migration in migrations[version...] {
                try database.execute(sql: migration.sql)
                for sealing in migration.seals { try sealing.run(in: database) }
            }
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            try database.execute(sql: "PRAGMA user_version = \(migrations.count)")
            return .commit
        }
    }
}
