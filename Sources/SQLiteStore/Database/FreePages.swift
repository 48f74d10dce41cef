import GRDB

/// Releases the database's free pages, which deleted rows leave, to the file system.
///
/// Each slice is a transaction of its own: pages from the end of the file move to free places, and
/// the file gets shorter when the WAL is copied back. Some free pages are kept, because deleted
/// rows are usually followed by new ones.
enum FreePages {
    /// Few enough that a slice takes no longer than a group of writes.
    static let sliceMax = 64
    private static let spareMin = 256

    /// Releases a slice, if more pages are free than are worth keeping. Returns whether more
    /// remain.
    static func release(in database: Database) throws -> Bool {
        let free = try Int.fetchOne(database, sql: "PRAGMA freelist_count") ?? 0
        let pages = try Int.fetchOne(database, sql: "PRAGMA page_count") ?? 0
        let surplus = free - max(spareMin, (pages - free) / 8)
        guard surplus > 0 else { return false }
        // The pragma releases one page with each row that it returns.
        _ = try Row.fetchAll(
            database, sql: "PRAGMA incremental_vacuum(\(min(surplus, sliceMax)))")
        return surplus > sliceMax
    }
}
