import GRDB

/// The pages that deleted rows leave free, given back to the file system.
///
/// In slices, each a transaction of its own: a page at the file's end takes a free one's place, and
/// the file gets shorter when the log is copied back. Some are kept, as what was deleted is mostly
/// written again.
enum FreePages {
    /// Few enough for a slice to take no longer than a group of writes does.
    static let sliceMax = 64
    private static let spareMin = 256

    /// Gives a slice back, if there is more than is worth keeping; returns whether there still is.
    static func release(in database: Database) throws -> Bool {
        let free = try Int.fetchOne(database, sql: "PRAGMA freelist_count") ?? 0
        let pages = try Int.fetchOne(database, sql: "PRAGMA page_count") ?? 0
        let surplus = free - max(spareMin, (pages - free) / 8)
        guard surplus > 0 else { return false }
        // It gives a page back with each row that it returns.
        _ = try Row.fetchAll(
            database, sql: "PRAGMA incremental_vacuum(\(min(surplus, sliceMax)))")
        return surplus > sliceMax
    }
}
