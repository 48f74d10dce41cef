/// A daemon that can be reached from the network requires tokens.
enum ExposureRule {
    static func check(
        _ address: ListenAddress, hasTokens: Bool
    ) throws(CommandFailure) {
        guard address.isLoopback || hasTokens else {
            throw CommandFailure(
                .configuration,
                "refusing to listen on \(address.text) without tokens: anybody who reaches it "
                    + "could read, change and delete every session",
                "give --token-file a file with a token a line (make one with: openssl rand -hex "
                    + "32), or listen on 127.0.0.1 and put a reverse proxy in front")
        }
    }
}
