internal import Foundation
internal import Parallel

extension BlockExecutor {
    /// Two threads for the passes over long vectors, where there are two cores: more than two move
    /// little more memory. The thread that runs a session's actor is one of them and works too.
    static let shared: BlockExecutor = {
        let width = min(2, ProcessInfo.processInfo.activeProcessorCount)
        guard width > 1 else { return .serial }
        return BlockExecutor(width: width) { count, body in
            forEachIndex(count, width: width, body)
        }
    }()
}
