public import SessionModel

/// How a standby asks its primary. Blocking, as the standby's one thread does nothing else.
public protocol PrimaryConnection: AnyObject {
    func beginBase(standby: String, term: Int) throws(PrimaryError) -> ReplicationStatus

    /// The changes after `number`, which acknowledges all up to it.
    /// - Parameter isCopying: Whether the copy that they belong to is still being made.
    func changes(
        after number: Int, of feed: String, standby: String, term: Int, isCopying: Bool,
        waitSeconds: Double
    ) throws(PrimaryError) -> [UInt8]

    /// A part of a file; fewer bytes where it ends.
    /// - Parameter known: What the standby has there. Nil is returned if it is the same.
    func filePart(
        _ name: String, from offset: Int, count: Int, known: [UInt8]?
    ) throws(PrimaryError) -> [UInt8]?

    func status() throws(PrimaryError) -> ReplicationStatus
}

public enum PrimaryError: Error, Equatable, Sendable {
    /// No answer, or one that passes: to be tried again.
    case unreachable(String)
    /// The primary has refused. `gone` makes the standby begin anew.
    case refused(ReplicationError)
    /// An operator has to change something, such as the token.
    case rejected(String)
}

extension PrimaryError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable(let what), .rejected(let what): what
        case .refused(.off): "its setting replication is off"
        case .refused(.fenced(let term)):
            "it is no longer the primary: a store was promoted with term \(term)"
        case .refused(.otherStandby(let what)): what
        case .refused(let error): "\(error)"
        }
    }
}
