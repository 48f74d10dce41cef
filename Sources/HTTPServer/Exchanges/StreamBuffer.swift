import CMicrohttpd
import Synchronization

/// The body of a streamed response: a bounded buffer between a task that writes and the library's
/// thread that reads.
///
/// When there is nothing to read the connection sleeps; when the buffer is full the writer does.
/// Both are woken under the lock that put them to sleep, so no waking is lost.
final class StreamBody: Sendable {
    fileprivate struct State {
        var buffer: [UInt8] = []
        /// How much of the buffer is read.
        var readCount = 0
        var isReaderAsleep = false
        var writer: CheckedContinuation<Bool, Never>?
        var writerSleepsSince: Int64?
        /// No more will be written; what is there will be read.
        var isFinished = false
        /// No more will be read.
        var isClosed = false
        var pump: Task<Void, Never>?
    }

    private let core: ServerCore
    private let handle: ConnectionHandle
    private let state = Mutex(State())

    init(core: ServerCore, handle: ConnectionHandle) {
        self.core = core
        self.handle = handle
    }

    /// Starts carrying pieces over. When the body is closed the stream is let go of.
    func pump(_ stream: AsyncStream<[UInt8]>) {
        let pump = Task(executorPreference: handle.thread) {
            for await piece in stream {
                guard await self.write(piece) else { break }
            }
            self.finish()
        }
        let isOver = state.withLock { state in
            if !state.isClosed, !state.isFinished { state.pump = pump }
            return state.isClosed
        }
        if isOver { pump.cancel() }
    }

    // MARK: The reader

    /// `MHD_ContentReaderCallback`. Returns the number of bytes, or the library's signs for the end
    /// and for failure, or 0 after it has suspended the connection.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let (count, writer) = state.withLock { state in
            if state.isClosed { return (cmhd_end_with_error, state.takeWriter()) }
            let count = min(state.waitingCount, buffer.count)
            if count > 0 {
                // `count` bytes stand in both: it is the smaller of what they hold.
                unsafe state.buffer.withUnsafeBytes { bytes in
                    unsafe buffer.copyMemory(
                        from: UnsafeRawBufferPointer(
                            rebasing: bytes[state.readCount..<state.readCount + count]))
                }
                state.didRead(count)
                let hasRoom = state.waitingCount < core.configuration.streamBufferBytesMax
                return (count, hasRoom ? state.takeWriter() : nil)
            }
            if state.isFinished { return (cmhd_end_of_stream, nil) }
            guard handle.suspend() else { return (cmhd_end_of_stream, nil) }
            state.isReaderAsleep = true
            return (0, nil)
        }
        writer?.resume(returning: true)
        return count
    }

    // MARK: The writer

    /// Waits for room, then adds the piece. Returns false when nobody reads any more.
    private func write(_ piece: [UInt8]) async -> Bool {
        if piece.isEmpty { return true }
        let isOpen = await withCheckedContinuation { (writer: CheckedContinuation<Bool, Never>) in
            let answer: Bool? = state.withLock { state in
                if state.isClosed || state.isFinished { return false }
                if state.waitingCount < core.configuration.streamBufferBytesMax { return true }
                state.writer = writer
                state.writerSleepsSince = Monotonic.nanoseconds()
                return nil
            }
            if let answer { writer.resume(returning: answer) }
        }
        guard isOpen else { return false }
        return state.withLock { state in
            if state.isClosed || state.isFinished { return false }
            state.buffer.append(contentsOf: piece)
            wakeReader(&state)
            return true
        }
    }

    /// Nothing more comes; the client gets what is there and the end.
    func finish() {
        let (writer, pump) = state.withLock { state in
            state.isFinished = true
            wakeReader(&state)
            return (state.takeWriter(), state.pump.take())
        }
        writer?.resume(returning: false)
        pump?.cancel()
    }

    /// Nobody reads any more, or shall. The client, if it is there, sees the response break off.
    func close() {
        let (writer, pump) = state.withLock { state in
            state.isClosed = true
            state.buffer = []
            state.readCount = 0
            wakeReader(&state)
            return (state.takeWriter(), state.pump.take())
        }
        writer?.resume(returning: false)
        pump?.cancel()
    }

    func isStalled(since time: Int64) -> Bool {
        state.withLock { state in
            guard let since = state.writerSleepsSince else { return false }
            return since < time
        }
    }

    private func wakeReader(_ state: inout State) {
        guard state.isReaderAsleep else { return }
        state.isReaderAsleep = false
        handle.resume()
    }
}

extension StreamBody.State {
    fileprivate var waitingCount: Int { buffer.count - readCount }

    fileprivate mutating func takeWriter() -> CheckedContinuation<Bool, Never>? {
        writerSleepsSince = nil
        return writer.take()
    }

    fileprivate mutating func didRead(_ count: Int) {
        readCount += count
        // The client moves: the stall begins anew.
        if writerSleepsSince != nil { writerSleepsSince = Monotonic.nanoseconds() }
        if readCount == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 64 * 1024)
            readCount = 0
        } else if readCount >= 256 * 1024 {
            buffer.removeFirst(readCount)
            readCount = 0
        }
    }
}
