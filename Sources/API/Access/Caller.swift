public import HTTPServer

/// Who sends a request: the name of its token, the tenant that the token belongs to, and what it
/// may do.
///
/// A class, because each request in flight refers to its caller, and one token has many requests.
public final class Caller: Principal {
    /// The token's name, for logs and the audit trail; `-` without one.
    public let name: String
    public let tenant: String
    public let scopes: Scopes

    public init(name: String, tenant: String, scopes: Scopes) {
        self.name = name
        self.tenant = tenant
        self.scopes = scopes
    }

    /// The tenant of all that comes without a named token.
    public static let defaultTenant = "default"

    /// Everybody, where the daemon asks for no token.
    public static let anonymous = Caller(name: "-", tenant: defaultTenant, scopes: .all)

    /// A client with a token of a plain token file, in which tokens have no names.
    static let bearer = Caller(name: "token", tenant: defaultTenant, scopes: .all)

    /// Whether name, tenant and scopes are the same.
    func isSame(as other: Caller) -> Bool {
        name == other.name && tenant == other.tenant && scopes == other.scopes
    }
}

/// What a token can permit. Each operation needs one of them; see `operationScopes`.
public enum Scope: String, CaseIterable, Sendable {
    /// Look at sessions.
    case read
    /// Create sessions and change them.
    case write
    /// Delete sessions, checkpoints and hooks.
    case delete
    /// What only the operator needs, such as metrics.
    case admin
}

/// What a token permits.
public struct Scopes: OptionSet, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let read = Scopes(rawValue: 1)
    public static let write = Scopes(rawValue: 2)
    public static let delete = Scopes(rawValue: 4)
    public static let admin = Scopes(rawValue: 8)
    public static let all: Scopes = [.read, .write, .delete, .admin]

    public init(_ scope: Scope) {
        switch scope {
        case .read: self = .read
        case .write: self = .write
        case .delete: self = .delete
        case .admin: self = .admin
        }
    }
}

extension RequestHead {
    /// Who sent the request, once it was authorized.
    var caller: Caller { admission?.caller ?? .anonymous }

    var admission: AdmittedRequest? { principal as? AdmittedRequest }
}
