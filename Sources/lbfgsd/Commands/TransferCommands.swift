internal import ArgumentParser
internal import Foundation
internal import Glibc
internal import Webhooks

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a session to a file.",
        discussion: """
            Asks a running daemon for the session, and writes it to standard output: parameters, \
            options, history and the middle of a line search, in one file, which NumPy's \
            safetensors can open. `lbfgsd import` makes a session of it, in this or another \
            daemon, that asks for the same point, bit for bit. Hooks, checkpoints and the trace \
            are not in it.

              lbfgsd export s6c1k2m9zq4w8x0v3b7n1 > session.safetensors

            With --data it reads a data directory that no daemon has open. Status 1 means that \
            the daemon refuses, 69 that it can't be reached, 74 that the file can't be written.
            """)

    @Argument(help: "The session's identifier.")
    var session: String

    @OptionGroup
    var options: TransferOptions

    func run() async throws {
        do throws(CommandFailure) {
            guard isatty(STDOUT_FILENO) == 0 else {
                throw CommandFailure(
                    .usage, "a session is not written to a terminal", "add > FILE")
            }
            guard session.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !session.contains("/"),
                !session.contains("?"), !session.contains("#")
            else { throw CommandFailure(.usage, "\(session): is no identifier of a session") }
            let path = "/v1/sessions/\(session)/export"
            _ = try await options.withDaemon { peer throws(CommandFailure) in
                try peer.body(of: peer.exchange(path).get(to: STDOUT_FILENO))
            }
        } catch {
            throw error.report()
        }
    }
}

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Make a session of a file that `lbfgsd export` has written.",
        discussion: """
            Sends standard input to a running daemon, and prints the identifier of the new \
            session. The whole file is checked before anything is made of it.

              lbfgsd import < session.safetensors

            With --data it writes to a data directory that no daemon has open. Status 1 means \
            that the daemon refuses the file, 69 that it can't be reached, 74 that the file can't \
            be read.
            """)

    @Option(help: "Name of the new session, in place of the file's; empty for none.")
    var name: String?

    @OptionGroup
    var options: TransferOptions

    func run() async throws {
        do throws(CommandFailure) {
            let file = try InputFile()
            var path = "/v1/sessions:import"
            if let name { path += "?name=" + percentEncoded(name) }
            let target = path
            let body = try await options.withDaemon { peer throws(CommandFailure) in
                let exchange = peer.exchange(
                    target, "Content-Type: application/vnd.lbfgsd.session", "Expect:",
                    "Idempotency-Key: \(UUID().uuidString)")
                return try peer.body(
                    of: exchange.post(from: file.descriptor, byteCount: file.byteCount))
            }
            print(try Peer.member("id", of: body))
        } catch {
            throw error.report()
        }
    }
}

/// Where the session is, or will be.
struct TransferOptions: ParsableArguments {
    @OptionGroup
    var peer: PeerOptions

    @Option(
        help: ArgumentHelp(
            "Data directory that no daemon has open, in place of a daemon.", valueName: "directory")
    )
    var data: String?

    @Option(help: ArgumentHelp("With --data, whose session it is.", valueName: "name"))
    var tenant = "default"

    /// Calls `body` with the daemon, which is this process if a data directory is given.
    func withDaemon<Value: Sendable>(
        _ body: @escaping @Sendable (Peer) throws(CommandFailure) -> Value
    ) async throws(CommandFailure) -> Value {
        guard let data else { return try body(peer.peer()) }
        guard peer.url == nil, peer.tokenFile == nil else {
            throw CommandFailure(
                .usage, "--data is in place of a daemon: leave out --url and --token-file")
        }
        return try await OfflineDaemon.run(directory: data, tenant: tenant, body)
    }
}

/// Standard input as a file of known length. What comes through a pipe is stored first, in a file
/// that ends with the process.
private struct InputFile {
    let descriptor: Int32
    let byteCount: Int

    init() throws(CommandFailure) {
        var status = Glibc.stat()
        // Sound: fstat(2) fills in one structure.
        guard unsafe fstat(STDIN_FILENO, &status) == 0 else {
            throw CommandFailure(.storage, "standard input can't be read")
        }
        if status.st_mode & S_IFMT == S_IFREG {
            descriptor = STDIN_FILENO
            byteCount = Int(status.st_size) - max(0, Int(lseek(STDIN_FILENO, 0, SEEK_CUR)))
            return
        }
        guard let file = unsafe tmpfile() else {
            throw CommandFailure(.storage, "there is no room for a temporary file")
        }
        let copy = unsafe fileno(file)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var total = 0
        while true {
            // Sound: at most the buffer's count is read, and what was read is written.
            let count = unsafe buffer.withUnsafeMutableBytes {
                unsafe read(STDIN_FILENO, $0.baseAddress, $0.count)
            }
            if count == 0 { break }
            if count < 0, errno == EINTR { continue }
            var written = 0
            while written < count {
                // Sound: the rest of what was read.
                let more = unsafe buffer.withUnsafeBytes {
                    unsafe write(copy, $0.baseAddress.map { unsafe $0 + written }, count - written)
                }
                guard more > 0 else { break }
                written += more
            }
            guard count > 0, written == count else {
                throw CommandFailure(.storage, "standard input can't be stored")
            }
            total += count
        }
        lseek(copy, 0, SEEK_SET)
        descriptor = copy
        byteCount = total
    }
}
