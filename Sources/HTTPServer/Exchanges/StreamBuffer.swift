import Synchronization

/// The body of a streamed response: a bounded buffer between the task that pumps chunks into it and
/// the event loop that reads from it.
///
/// If the buffer is empty, the reader suspends the connection; if it is full, the writer suspends
/// its task. Each is resumed under the lock under which it suspended, so no wakeup is lost.
final class StreamBuffer: Sendable {
    /// The outcome of one read.
    enum ReadResult {
        case bytes(Int)
        /// The connection was suspended and is resumed when there are bytes.
        case suspended
        case endOfStream
        case failed
    }

    fileprivate struct State {
        var buffer: [UInt8] = []
        /// How much of the buffer has been read.
        var readCount = 0
        var isReaderSuspended = false
        var writer: CheckedContinuation<Bool, Never>?
        var writerBlockedSince: Int64?
        /// Nothing more is written; the rest is still read.
        var isFinished = false
        /// Nothing more is read.
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

    /// Starts the task that copies the chunks into the buffer. It drops the stream when the buffer
    /// is closed.
    func pump(_ chunks: AsyncStream<[UInt8]>) {
        let pump = Task(executorPreference: handle.eventLoop) {
            for await chunk in chunks {
                guard await self.write(chunk) else { break }
            }
            self.finish()
        }
        let isClosed = state.withLock { state in
            if !state.isClosed, !state.isFinished { state.pump = pump }
            return state.isClosed
        }
        if isClosed { pump.cancel() }
    }

    // MARK: The reader

    func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadResult {
        let (result, writer) = state.withLock { state in
            if state.isClosed { return (ReadResult.failed, state.takeWriter()) }
            let count = min(state.unreadCount, buffer.count)
            if count > 0 {
                // Sound: `count` exceeds neither the unread bytes nor the buffer.
                unsafe state.buffer.withUnsafeBytes { bytes in
                    unsafe buffer.copyMemory(
                        from: UnsafeRawBufferPointer(
                            rebasing: bytes[state.readCount..<state.readCount + count]))
                }
                state.didRead(count)
                let hasSpace = state.unreadCount < core.configuration.streamBufferBytesMax
                return (.bytes(count), hasSpace ? state.takeWriter() : nil)
            }
            if state.isFinished { return (.endOfStream, nil) }
            guard handle.suspend() else { return (.endOfStream, nil) }
            state.isReaderSuspended = true
            return (.suspended, nil)
        }
        writer?.resume(returning: true)
        return result
    }

    // MARK: The writer

    /// Waits for space, then appends the chunk. Returns false if the stream has ended.
    private func write(_ chunk: [UInt8]) async -> Bool {
        if chunk.isEmpty { return true }
        let isOpen = await withCheckedContinuation { (writer: CheckedContinuation<Bool, Never>) in
            let isOpen: Bool? = state.withLock { state in
                if state.isClosed || state.isFinished { return false }
                if state.unreadCount < core.configuration.streamBufferBytesMax { return true }
                state.writer = writer
                state.writerBlockedSince = MonotonicClock.nanoseconds()
                return nil
            }
            if let isOpen { writer.resume(returning: isOpen) }
        }
        guard isOpen else { return false }
        return state.withLock { state in
            if state.isClosed || state.isFinished { return false }
            state.buffer.append(contentsOf: chunk)
            resumeReader(&state)
            return true
        }
    }

    /// Ends the stream normally: the client receives what is buffered and the end of the body.
    func finish() {
        let (writer, pump) = state.withLock { state in
            state.isFinished = true
            resumeReader(&state)
            return (state.takeWriter(), state.pump.take())
        }
        writer?.resume(returning: false)
        pump?.cancel()
    }

    /// Ends the stream abnormally: buffered bytes are dropped, and the client, if still connected,
    /// sees a truncated response.
    func close() {
        let (writer, pump) = state.withLock { state in
            state.isClosed = true
            state.buffer = []
            state.readCount = 0
            resumeReader(&state)
            return (state.takeWriter(), state.pump.take())
        }
        writer?.resume(returning: false)
        pump?.cancel()
    }

    func isStalled(since time: Int64) -> Bool {
        state.withLock { state in
            guard let blockedSince = state.writerBlockedSince else { return false }
            return blockedSince < time
        }
    }

    private func resumeReader(_ state: inout State) {
        guard state.isReaderSuspended else { return }
        state.isReaderSuspended = false
        handle.resume()
    }
}

extension StreamBuffer.State {
    fileprivate var unreadCount: Int { buffer.count - readCount }

    fileprivate mutating func takeWriter() -> CheckedContinuation<Bool, Never>? {
        writerBlockedSince = nil
        return writer.take()
    }

    fileprivate mutating func didRead(_ count: Int) {
        readCount += count
        // The client is reading, so the stall time starts again.
        if writerBlockedSince != nil { writerBlockedSince = MonotonicClock.nanoseconds() }
        if readCount == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 64 * 1024)
            readCount = 0
        } else if readCount >= 256 * 1024 {
            buffer.removeFirst(readCount)
            readCount = 0
        }
    }
}
