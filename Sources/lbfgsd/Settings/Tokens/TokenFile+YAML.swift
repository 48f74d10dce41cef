internal import API
internal import Sessions
internal import Wire
internal import Yams

extension TokenFile {
    /// A list of tokens, or a mapping with `tokens` and `tenants`:
    ///
    ///     tokens:
    ///       - {name: ci, sha256: 9f86.., tenant: flow, scopes: [read, write], expires: 2027-01-01}
    ///     tenants:
    ///       flow: {sessions: 100, disk_bytes: 10GiB, memory_bytes: 4GiB, requests_in_flight: 64}
    static func parseYAML(_ text: String, path: String) throws(CommandFailure) -> TokenFile {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw CommandFailure(
                .configuration, "token-file \(path)\(ConfigurationFile.location(error))")
        }
        var reader = TokenReader(path: path)
        if let root, root.scalar?.string.isEmpty != true { reader.read(root) }
        guard reader.problems.isEmpty else {
            throw CommandFailure(.configuration, reader.problems)
        }
        return TokenFile(
            isPlain: false, credentials: reader.credentials, quotas: reader.quotas)
    }
}

/// Reads the nodes of a token file, and collects all that is wrong, by line and field.
private struct TokenReader {
    let path: String
    var credentials: [Credential] = []
    var quotas: [String: TenantQuota] = [:]
    var problems: [String] = []
    private var names: Set<String> = []

    init(path: String) { self.path = path }

    mutating func read(_ root: Node) {
        if let list = root.sequence {
            readTokens(list, at: "tokens")
        } else if let mapping = root.mapping {
            for (key, value) in fields(of: mapping, at: "", known: ["tokens", "tenants"]) {
                switch (key, value) {
                case ("tokens", .sequence(let list)): readTokens(list, at: key)
                case ("tokens", _): wrong(value, key, "must be a list of tokens")
                case (_, .mapping(let tenants)): readTenants(tenants)
                default: wrong(value, key, "must be a mapping of tenants to their quotas")
                }
            }
        } else {
            wrong(root, "tokens", "must be a list of tokens: lines of the form `- name: ci`")
        }
    }

    private mutating func wrong(_ node: Node, _ field: String, _ what: String) {
        problems.append("token-file \(path):\(node.mark?.line ?? 0): \(field) \(what)")
    }

    private mutating func fields(
        of mapping: Node.Mapping, at place: String, known: [String]
    ) -> [(String, Node)] {
        mapping.compactMap { key, value in
            let name = key.scalar?.string ?? "a key that isn't text"
            if known.contains(name) { return (name, value) }
            let hint = nearestName(to: name, in: known).map { "; did you mean \($0)?" } ?? ""
            let field = place.isEmpty ? name : "\(place).\(name)"
            wrong(key, field, "is not known; known: \(known.joined(separator: ", "))\(hint)")
            return nil
        }
    }

    // MARK: Tokens

    private mutating func readTokens(_ list: Node.Sequence, at place: String) {
        for (index, node) in list.enumerated() { readToken(node, at: "\(place)[\(index)]") }
    }

    private mutating func readToken(_ node: Node, at place: String) {
        guard let mapping = node.mapping else {
            return wrong(node, place, "must be a mapping with name, sha256 and scopes")
        }
        let before = problems.count
        var name: String?
        var sha256: (text: String, node: Node)?
        var tenant = Caller.defaultTenant
        var scopes: Scopes?
        var expiresAt: Int64?
        let known = ["name", "sha256", "tenant", "scopes", "expires"]
        for (key, value) in fields(of: mapping, at: place, known: known) {
            let field = "\(place).\(key)"
            let text = value.scalar?.string ?? ""
            switch key {
            case "name":
                name = text
                if !TenantName.isValid(text) {
                    wrong(value, field, "must be \(TenantName.requirement)")
                } else if !names.insert(text).inserted {
                    wrong(value, field, "is the name of another token: \(text)")
                }
            case "sha256": sha256 = (text, value)
            case "tenant":
                tenant = text
                if !TenantName.isValid(text) {
                    wrong(value, field, "must be \(TenantName.requirement)")
                }
            case "scopes": scopes = readScopes(value, at: field)
            default:
                expiresAt = PointInTime.seconds(text)
                if expiresAt == nil {
                    wrong(
                        value, field,
                        "must be a date or a time, such as 2027-01-01 or 2027-01-01T12:00:00Z")
                }
            }
        }
        for (key, isMissing) in [
            ("name", name == nil), ("sha256", sha256 == nil),
            ("scopes", scopes == nil && problems.count == before),
        ] where isMissing { wrong(node, "\(place).\(key)", "is missing") }
        guard let name, let sha256 else { return }
        let caller = Caller(name: name, tenant: tenant, scopes: scopes ?? [])
        guard let read = Credential(sha256: sha256.text, caller: caller, expiresAt: expiresAt)
        else {
            return wrong(
                sha256.node, "\(place).sha256",
                "must be the SHA-256 of the token: 64 hexadecimal digits")
        }
        if let other = credentials.first(where: { $0.isSameToken(as: read) }) {
            return wrong(
                sha256.node, "\(place).sha256",
                "is that of another token: \(other.caller.name)")
        }
        credentials.append(read)
    }

    /// nil when they are wrong.
    private mutating func readScopes(_ node: Node, at field: String) -> Scopes? {
        guard let list = node.sequence, !list.isEmpty else {
            wrong(node, field, "must be a list of scopes: \(Scope.names)")
            return nil
        }
        var scopes: Scopes = []
        for (index, item) in list.enumerated() {
            guard let scope = item.scalar.flatMap({ Scope(rawValue: $0.string) }) else {
                wrong(item, "\(field)[\(index)]", "must be one of \(Scope.names)")
                continue
            }
            scopes.insert(Scopes(scope))
        }
        return scopes
    }

    // MARK: Tenants

    private mutating func readTenants(_ mapping: Node.Mapping) {
        for (key, value) in mapping {
            let tenant = key.scalar?.string ?? ""
            let place = "tenants.\(tenant)"
            guard TenantName.isValid(tenant) else {
                wrong(key, place, "must be named by \(TenantName.requirement)")
                continue
            }
            guard let limits = value.mapping else {
                wrong(value, place, "must be a mapping of quotas")
                continue
            }
            var quota = TenantQuota()
            for (name, node) in fields(of: limits, at: place, known: QuotaField.names) {
                guard let field = QuotaField(rawValue: name) else { continue }
                guard let limit = field.form.read(node.scalar?.string ?? "") else {
                    wrong(node, "\(place).\(name)", "must be \(field.form.requirement)")
                    continue
                }
                quota[keyPath: field.path] = limit
            }
            quotas[tenant] = quota
        }
    }
}

/// The quotas of a tenant, by their names in the file.
private enum QuotaField: String, CaseIterable {
    case sessions
    case diskBytes = "disk_bytes"
    case memoryBytes = "memory_bytes"
    case requestsInFlight = "requests_in_flight"

    static var names: [String] { allCases.map(\.rawValue) }

    var path: WritableKeyPath<TenantQuota, Int?> {
        switch self {
        case .sessions: \.sessionsMax
        case .diskBytes: \.diskBytesMax
        case .memoryBytes: \.memoryBytesMax
        case .requestsInFlight: \.requestsInFlightMax
        }
    }

    var form: ValueForm<Int> {
        switch self {
        case .sessions: .count(0...10_000_000)
        case .diskBytes, .memoryBytes: .bytes(0...1 << 50)
        case .requestsInFlight: .count(1...1_000_000)
        }
    }
}

/// Names of tenants and tokens: they stand in logs and in file names.
enum TenantName {
    static let requirement = "1 to 64 letters, digits, dots, hyphens and underscores"

    static func isValid(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "-"),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}

extension Scope {
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
