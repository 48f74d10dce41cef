internal import Foundation
internal import Glibc

/// Where sessions are kept.
enum DataLocation: Equatable, Sendable {
    case directory(String)
    /// In memory: sessions end with the process. For trying things out.
    case memory

    init(_ text: String) {
        self = text == ":memory:" ? .memory : .directory(text)
    }

    /// Throws if a directory can't hold the sessions whatever is in it: everybody may write to it,
    /// or it is missing together with its parent, as after a typing error.
    func check() throws(CommandFailure) {
        guard case .directory(let path) = self else { return }
        if let mode = DataLocation.mode(of: path) {
            guard mode & S_IFMT == S_IFDIR else {
                throw CommandFailure(.storage, "data \(path): is not a directory")
            }
            guard mode & S_IWOTH == 0 else {
                let shown = String(mode & 0o7777, radix: 8)
                throw CommandFailure(
                    .configuration,
                    "data \(path): everybody can write to it (mode \(shown))",
                    "chmod 700 \(path), or name a directory in it")
            }
            return
        }
        let parent = URL(filePath: path).deletingLastPathComponent().path
        guard DataLocation.mode(of: parent) != nil || errno == EACCES else {
            throw CommandFailure(
                .configuration, "data \(path): there is no directory \(parent) to make it in",
                "correct the path, or make the directory: mkdir -p \(parent)")
        }
    }

    /// Whether there is a store.
    var exists: Bool {
        guard case .directory(let path) = self else { return false }
        return DataLocation.mode(of: path + "/lbfgsd.sqlite") != nil
    }

    /// stat(2)
    private static func mode(of path: String) -> mode_t? {
        var status = Glibc.stat()
        // Sound: stat(2) fills in one structure, and reads a zero-terminated copy of the path.
        return unsafe stat(path, &status) == 0 ? status.st_mode : nil
    }

    var text: String {
        switch self {
        case .directory(let path): path
        case .memory: ":memory:"
        }
    }
}
