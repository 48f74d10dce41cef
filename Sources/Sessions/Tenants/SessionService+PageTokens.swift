internal import Synchronization

/// The key of page tokens: the store's secret, so that tokens stay valid when the daemon restarts.
final class PageTokenKey: Sendable {
    private let key = Mutex<[UInt8]?>(nil)

    /// Reads it from the store the first time.
    func value(_ store: any Store) async throws(StoreError) -> [UInt8] {
        if let key = key.withLock({ $0 }) { return key }
        let secret = Array("page tokens".utf8) + (try await store.secret())
        key.withLock { $0 = secret }
        return secret
    }
}

extension SessionService {
    /// The position in a client's token.
    package func opened(_ token: PageToken?) async throws(SessionError) -> PageToken? {
        guard let token else { return nil }
        guard token.cursor == nil,
            let position = PageTokenCipher.open(token.below, try await pageTokenKey())
        else { throw Self.foreignPageToken }
        return PageToken(below: position)
    }

    package func sealed<Item>(_ page: Page<Item>) async throws(SessionError) -> Page<Item> {
        guard let next = page.next else { return page }
        let sealed = PageTokenCipher.seal(next.below, try await pageTokenKey())
        var sealedPage = page
        sealedPage.next = PageToken(below: sealed)
        return sealedPage
    }

    static var foreignPageToken: SessionError {
        .invalid([
            FieldError(
                field: "query.page_token", reason: "must be a next_page_token of this list")
        ])
    }

    func pageTokenKey() async throws(SessionError) -> [UInt8] {
        do {
            return try await pageTokens.value(store)
        } catch {
            throw .storageFailed("\(error)")
        }
    }
}
