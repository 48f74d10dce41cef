internal import API
internal import ArgumentParser

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Make tokens for the token file.",
        subcommands: [NewTokenCommand.self])
}

struct NewTokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Make a token, and print it with its line for the token file.",
        discussion: """
            The first line that is printed is the token, for the client: it is kept nowhere. The \
            second is its entry for a YAML token file, which holds only the token's SHA-256. After \
            adding it, send the daemon SIGHUP, or restart it under systemd.
            """)

    @Option(help: ArgumentHelp("Name of the token, for logs.", valueName: "name"))
    var name: String

    @Option(help: ArgumentHelp("Tenant whose sessions it sees.", valueName: "name"))
    var tenant = Caller.defaultTenant

    @Option(
        help: ArgumentHelp(
            "Scopes, with commas between them: read, write, delete, admin.", valueName: "list"))
    var scopes = "read,write"

    @Option(
        help: ArgumentHelp(
            "Date or time from which on it is not accepted: 2027-01-01.", valueName: "date"))
    var expires: String?

    func validate() throws {
        for (option, text) in [("name", name), ("tenant", tenant)]
        where !TenantName.isValid(text) {
            throw ValidationError("--\(option) must be \(TenantName.requirement)")
        }
        let words = scopes.split(separator: ",", omittingEmptySubsequences: false)
        guard words.allSatisfy({ Scope(rawValue: String($0)) != nil }) else {
            throw ValidationError("--scopes must be some of \(Scope.names), not \(scopes)")
        }
        if let expires, PointInTime.seconds(expires) == nil {
            throw ValidationError("--expires must be a date or a time, such as 2027-01-01")
        }
    }

    func run() {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let token = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let digest = Credential.sha256(of: token)
        let list = scopes.split(separator: ",").joined(separator: ", ")
        let end = expires.map { ", expires: \($0)" } ?? ""
        print(token)
        print("- {name: \(name), sha256: \(digest), tenant: \(tenant), scopes: [\(list)]\(end)}")
    }
}
