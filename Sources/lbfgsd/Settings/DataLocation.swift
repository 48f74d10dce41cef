/// Where sessions are kept.
enum DataLocation: Equatable, Sendable {
    case directory(String)
    /// In memory: sessions end with the process. For trying things out.
    case memory

    init(_ text: String) {
        self = text == ":memory:" ? .memory : .directory(text)
    }

    var text: String {
        switch self {
        case .directory(let path): path
        case .memory: ":memory:"
        }
    }
}
