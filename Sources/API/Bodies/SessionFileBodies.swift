internal import HTTPServer
internal import Hashing
internal import Sessions
internal import Synchronization
internal import Wire

// Session files as bodies. A file is sent from the session's vectors. One that arrives is kept in
// pieces, which are freed as the vectors are made of them, so that it is never in memory twice.

/// Sends a session file. Its digest is computed when it is made: O(bytes).
struct SessionFileSource: BodySource {
    private let head: [UInt8]
    private let contents: [Octets]
    private let digest: [UInt8]
    /// The position behind the head, and behind each of the contents.
    private let ends: [Int]

    init(_ file: SessionFile) {
        head = file.header.safetensors
        contents = file.contents
        var hash = SHA256()
        hash.update(head)
        var ends = [head.count]
        for octets in contents {
            // They are in memory, and no store fails.
            try? unsafe octets.forEachRegion { unsafe hash.update($0) }
            ends.append(ends[ends.count - 1] + octets.count)
        }
        self.ends = ends
        digest = hash.finalize()
    }

    var count: Int { ends[ends.count - 1] + digest.count }

    func copy(from offset: Int, to room: UnsafeMutableRawBufferPointer) -> Int {
        var copied = 0
        while copied < room.count, offset + copied < count {
            let place = offset + copied
            // Sound: the rest of the room, whose count limits what is copied.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: room[copied...])
            let part = ends.partitioningIndex { $0 > place }
            let start = part == 0 ? 0 : ends[part - 1]
            let octets: Octets =
                switch part {
                case 0: Octets(head)
                case ends.count: Octets(digest)
                default: contents[part - 1]
                }
            unsafe copied += octets.copy(from: place - start, to: rest)
        }
        return copied
    }
}

extension [Int] {
    /// The first index of an ascending array whose element meets the condition, as all after it do.
    fileprivate func partitioningIndex(_ condition: (Int) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if condition(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// Keeps a session file until it is complete. Its header is read on a background thread as soon as
/// it is there: a file with a wrong one is refused before its vectors are sent.
final class SessionFileSink: BodySink {
    private struct State {
        var pieces: [[UInt8]] = []
        var byteCount = 0
        /// The first bytes, until the header is complete.
        var first: [UInt8]? = []
        var failure: Problem?
    }

    private let head: RequestHead
    private let length: Int
    private let limits: Limits
    private let background: BackgroundWork
    private let state = Mutex(State())

    private static let pieceBytes = 4 << 20

    init(head: RequestHead, length: Int, limits: Limits, background: BackgroundWork) {
        self.head = head
        self.length = length
        self.limits = limits
        self.background = background
    }

    /// A file that was collected.
    convenience init(
        _ body: [UInt8], head: RequestHead, limits: Limits, background: BackgroundWork
    ) {
        self.init(head: head, length: body.count, limits: limits, background: background)
        state.withLock { state in
            state.pieces = [body]
            state.byteCount = body.count
        }
    }

    // MARK: On the event loop

    func append(_ piece: UnsafeRawBufferPointer) {
        let whole = state.withLock { state -> [UInt8]? in
            if state.failure != nil { return nil }
            state.byteCount += piece.count
            if state.pieces.last.map({ $0.count + piece.count > Self.pieceBytes }) ?? true {
                state.pieces.append([])
                let left = length - state.byteCount + piece.count
                state.pieces[state.pieces.count - 1].reserveCapacity(min(Self.pieceBytes, left))
            }
            // Sound: copied within the call.
            unsafe state.pieces[state.pieces.count - 1].append(contentsOf: piece)
            return unsafe header(with: piece, &state)
        }
        if let whole { background.parse { self.check(whole) } }
    }

    /// The header, when it has just become complete.
    private func header(with piece: UnsafeRawBufferPointer, _ state: inout State) -> [UInt8]? {
        guard state.first != nil else { return nil }
        do throws(WireError) {
            // Sound: as above.
            unsafe state.first?.append(contentsOf: piece)
            let end = try SessionFile.Header.end(state.first ?? [], of: length)
            guard let first = state.first, first.count >= end else { return nil }
            state.first = nil
            return Array(first[..<end])
        } catch {
            state.first = nil
            fail(Problem(error), &state)
            return nil
        }
    }

    private func fail(_ problem: Problem, _ state: inout State) {
        state.failure = problem
        state.pieces = []
    }

    var status: BodySinkStatus {
        state.withLock { state in
            var status = BodySinkStatus()
            status.memoryBytes = state.byteCount + (state.first?.count ?? 0)
            status.rejection = state.failure?.response(to: head)
            return status
        }
    }

    // MARK: On a background thread

    private func check(_ header: [UInt8]) {
        do {
            _ = try SessionImport(
                SessionFile.Header(safetensors: header[...], of: length), limits: limits)
        } catch {
            state.withLock { fail(Problem(error), &$0) }
        }
    }

    // MARK: In the handler

    func checkDigest() throws {
        guard var check = try DigestCheck(head) else { return }
        let (pieces, failure) = state.withLock { ($0.pieces, $0.failure) }
        if let failure { throw failure }
        for piece in pieces { check.update(piece) }
        try check.finish()
    }

    /// The file, and its digest, which is that of its bytes. To be called once: the pieces are
    /// freed one after the other.
    func take() throws -> (file: SessionImport, digest: [UInt8]) {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        var reader = state.withLock { state in
            defer { state.pieces = [] }
            return PieceReader(state.pieces)
        }
        var first: [UInt8] = []
        var end = try SessionFile.Header.end(first, of: length)
        while first.count < end {
            first += reader.read(end - first.count)
            end = try SessionFile.Header.end(first, of: length)
        }
        let header = try SessionFile.Header(safetensors: first[...], of: length)
        var file = try SessionImport(header, limits: limits)
        var hash = SHA256()
        hash.update(first)
        for entry in header.entries.dropLast() {
            let bytes = reader.read(entry.byteCount)
            hash.update(bytes)
            file.take(entry.name, bytes)
        }
        let digest = hash.finalize()
        guard reader.read(digest.count) == digest else {
            throw Problem.invalid(
                SessionFile.digest.name,
                "is not that of the bytes before it: the file is damaged, or was changed")
        }
        return (file, digest)
    }
}

/// Reads bytes that are in pieces, and frees the pieces.
private struct PieceReader {
    /// Last first.
    private var pieces: [[UInt8]]
    private var offset = 0

    init(_ pieces: [[UInt8]]) { self.pieces = pieces.reversed() }

    /// The next `count` bytes; fewer at the end.
    mutating func read(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count, let piece = pieces.last {
            let part = piece[offset...].prefix(count - bytes.count)
            bytes += part
            offset += part.count
            if offset == piece.count {
                pieces.removeLast()
                offset = 0
            }
        }
        return bytes
    }
}
