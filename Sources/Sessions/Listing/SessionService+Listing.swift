// Lists of sessions.

extension SessionService {
    /// The tenant's sessions that the query asks for; doesn't load them. In the store's own order,
    /// newest first, the store lists them; in any other, the tenant's catalog.
    public func list(
        _ query: SessionQuery = SessionQuery(), pageSize: Int? = nil, after: PageToken? = nil,
        tenant: String = SessionRecord.defaultTenant
    ) async throws(SessionError) -> Page<SessionSummary> {
        let size = try checkedPageSize(pageSize)
        try check(query)
        guard query.isStoreOrder else {
            return try await catalogPage(query, size, after: after, tenant: tenant)
        }
        let after = try await opened(after)
        let filter = SessionFilter(
            label: query.label.map { ($0.key, $0.value) }, name: query.name, tenant: tenant)
        var page = try await read { store throws(StoreError) in
            try await store.list(pageSize: size, after: after, matching: filter)
        }
        for index in page.items.indices { try await complete(&page.items[index]) }
        return try await sealed(page)
    }

    private func check(_ query: SessionQuery) throws(SessionError) {
        for (field, text) in [("query.name", query.name), ("query.q", query.text)] {
            guard let text, !PrintableText.isValid(text, lengthMax: limits.nameLengthMax) else {
                continue
            }
            let reason = PrintableText.requirement(lengthMax: limits.nameLengthMax)
            throw .invalid([FieldError(field: field, reason: reason)])
        }
    }

    private func catalogPage(
        _ query: SessionQuery, _ size: Int, after token: PageToken?, tenant: String
    ) async throws(SessionError) -> Page<SessionSummary> {
        let key = try await pageTokenKey()
        let identity = query.identity + Array(tenant.utf8)
        let after = try token.map { token throws(SessionError) in
            guard let cursor = ListCursor(token, for: identity, key) else {
                throw Self.foreignPageToken
            }
            return cursor
        }
        let (list, damaged) = try await first(size + 1, of: query, after: after, tenant: tenant)
        var page = Page(items: list.found.prefix(size).map(\.session.summary), next: nil)
        if list.found.count > size {
            page.next = list.found[size - 1].cursor.sealed(for: identity, key)
        }
        if token == nil { page.damaged = damaged }
        return page
    }

    /// The first `count` sessions that the query asks for, and how many it does in all.
    func catalogSessions(
        _ count: Int, of query: SessionQuery, tenant: String
    ) async throws(SessionError) -> (found: [SessionSummary], count: Int) {
        let list = try await first(count, of: query, after: nil, tenant: tenant).list
        return (list.found.map(\.session.summary), list.matchCount)
    }

    private func first(
        _ count: Int, of query: SessionQuery, after: ListCursor?, tenant: String
    ) async throws(SessionError) -> (list: FirstOfList, damaged: DamagedSessions) {
        // A catalog that was complete can have been dropped again.
        for _ in 0..<4 {
            try await catalog.load(tenant) { await self.readCatalog(of: tenant) }
            let first = catalog.first(count, of: query, after: after, tenant: tenant)
            if let first { return first }
        }
        throw .overloaded(
            limit: .listingBytes, maximum: limits.listingBytesMax, retryAfterSeconds: 1)
    }

    private func readCatalog(of tenant: String) async -> Result<Void, SessionError> {
        var token: PageToken?
        do throws(SessionError) {
            repeat {
                var page = try await read { [token] store throws(StoreError) in
                    try await store.list(
                        pageSize: limits.pageSizeMax, after: token,
                        matching: SessionFilter(tenant: tenant))
                }
                for index in page.items.indices { try await complete(&page.items[index]) }
                try catalog.enter(page.items.map(ListedSession.init), page.damaged, of: tenant)
                token = page.next
            } while token != nil
        } catch {
            return .failure(error)
        }
        return .success(())
    }

    /// Adds what the newest entry does not say, if that is from before it did: from the newest
    /// snapshot, or if that is of an older entry, as after a crash, from the session, which is
    /// loaded for it.
    private func complete(_ summary: inout SessionSummary) async throws(SessionError) {
        guard summary.progress == nil else { return }
        let id = summary.record.id
        do throws(SessionError) {
            let scalars = try await read(id) { store throws(StoreError) in
                try await store.scalars(of: id)
            }
            summary.progress =
                scalars.sequence == summary.sequence
                ? StateCodec.progress(from: scalars.bytes)
                : try await withSession(id) { await $0.state.progress }
        } catch {
            switch error {
            // Deleted meanwhile, or damaged, which its own requests report.
            case .notFound, .corrupt: return
            default: throw error
            }
        }
    }
}
