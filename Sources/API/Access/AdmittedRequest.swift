public import HTTPServer
internal import Sessions
internal import Synchronization

/// The admission of one request. It lives as long as the request is in flight. Of a request that
/// was refused although its token is known, it only says whose it is.
public final class AdmittedRequest: Principal {
    public let caller: Caller
    /// The token, by which the admission is checked again; nil if none was required.
    let credential: Credential?
    /// Where the request is counted until the end.
    private let ledger: TenantLedger?
    private let revoked = Atomic<Bool>(false)
    private let named = Mutex<[String]>([])

    /// - Parameter ledger: Has counted the request; nil if it is not counted.
    init(_ caller: Caller, credential: Credential? = nil, countedIn ledger: TenantLedger?) {
        self.caller = caller
        self.credential = credential
        self.ledger = ledger
    }

    deinit { ledger?.requestEnded(of: caller.tenant) }

    /// Whether the token was revoked, or expired, after the request was admitted.
    var isRevoked: Bool { revoked.load(ordering: .relaxed) }

    /// The sessions of a batch, for the audit log.
    var sessions: [String] {
        get { named.withLock { $0 } }
        set { named.withLock { $0 = newValue } }
    }

    func revoke() { revoked.store(true, ordering: .relaxed) }
}
