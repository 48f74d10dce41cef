internal import Foundation
internal import HTTPServer
internal import HTTPTypes
internal import Hashing
internal import Wire

// Digests of message content, which detect damage in transit: RFC 9530.

/// A body's digest in one of the algorithms that IANA's registry lists as active. Others are
/// ignored: the registry calls them insecure.
struct ContentDigest: Equatable {
    enum Algorithm: String, CaseIterable {
        case sha256 = "sha-256"
        case sha512 = "sha-512"

        fileprivate var byteCount: Int {
            switch self {
            case .sha256: SHA256.byteCount
            case .sha512: SHA512.byteCount
            }
        }
    }

    var algorithm: Algorithm
    var bytes: [UInt8]

    /// As a field has it: a dictionary with one member, a byte sequence (RFC 9651).
    var text: String { "\(algorithm.rawValue)=:\(Data(bytes).base64EncodedString()):" }
}

extension ContentDigest {
    /// Throws when the body has a Content-Digest and doesn't match it.
    static func check(_ body: [UInt8], of head: RequestHead) throws(Problem) {
        guard var check = try DigestCheck(head) else { return }
        check.update(body)
        try check.finish()
    }

    /// The digests of a Content-Digest field in the known algorithms. Of repeated keys the last one
    /// counts, as in every dictionary of RFC 9651. nil when the field is malformed.
    static func all(in field: String) -> [ContentDigest]? {
        var digests: [Algorithm: ContentDigest] = [:]
        for member in split(field, at: ",") {
            // Parameters have no meaning in this field.
            let item = trimmed(split(String(trimmed(member)), at: ";")[0])
            let parts = item.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, isKey(parts[0]), let bytes = byteSequence(parts[1]) else {
                return nil
            }
            guard let algorithm = Algorithm(rawValue: String(parts[0])) else { continue }
            guard bytes.count == algorithm.byteCount else { return nil }
            digests[algorithm] = ContentDigest(algorithm: algorithm, bytes: bytes)
        }
        return Algorithm.allCases.compactMap { digests[$0] }
    }

    /// The known algorithm with the highest preference in a Want-Content-Digest field; nil when
    /// there is none or the field is malformed, since it only states a preference.
    static func wanted(by field: String) -> Algorithm? {
        var best: (algorithm: Algorithm, weight: Int)?
        for member in split(field, at: ",") {
            let parts = trimmed(member).split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let algorithm = Algorithm(rawValue: String(parts[0])),
                let weight = Int(parts[1]), (1...10).contains(weight)
            else { continue }
            if weight > best?.weight ?? 0 { best = (algorithm, weight) }
        }
        return best?.algorithm
    }

    private static func isKey(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, first == UInt8(ascii: "*") || isLower(first) else {
            return false
        }
        return text.utf8.allSatisfy {
            isLower($0) || (0x30...0x39).contains($0) || "_-.*".utf8.contains($0)
        }
    }

    private static func isLower(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }

    /// `:cHJldGVuZA==:`
    private static func byteSequence(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count >= 2, text.first == ":", text.last == ":" else { return nil }
        return Data(base64Encoded: String(text.dropFirst().dropLast())).map(Array.init)
    }
}

/// Computes digests while a body arrives.
struct Digester {
    private var sha256: SHA256?
    private var sha512: SHA512?

    init(_ algorithms: [ContentDigest.Algorithm]) {
        if algorithms.contains(.sha256) { sha256 = SHA256() }
        if algorithms.contains(.sha512) { sha512 = SHA512() }
    }

    /// The next piece.
    mutating func update(_ piece: UnsafeRawBufferPointer) {
        // Sound: the piece is read before the call returns.
        unsafe sha256?.update(piece)
        unsafe sha512?.update(piece)
    }

    mutating func update(_ bytes: [UInt8]) {
        // Sound: the array outlives the call.
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// The whole of it, piece by piece.
    mutating func update(_ source: any BodySource) {
        var buffer = [UInt8](repeating: 0, count: min(source.count, 1 << 16))
        var offset = 0
        while offset < source.count {
            // Sound: the buffer is initialised, and lives as long as it is written and read.
            let size = unsafe buffer.withUnsafeMutableBytes { room in
                let size = unsafe source.copy(from: offset, to: room)
                unsafe update(UnsafeRawBufferPointer(rebasing: room[..<size]))
                return size
            }
            precondition(size > 0, "a body ends before its length")
            offset += size
        }
    }

    func finish() -> [ContentDigest] {
        let first = sha256.map {
            ContentDigest(algorithm: .sha256, bytes: $0.finalize())
        }
        let second = sha512.map {
            ContentDigest(algorithm: .sha512, bytes: $0.finalize())
        }
        return [first, second].compactMap { $0 }
    }
}

/// Verifies a body against its Content-Digest while it arrives.
struct DigestCheck {
    private let told: [ContentDigest]
    private var digester: Digester

    /// nil when there is nothing to compare.
    init?(_ head: RequestHead) throws(Problem) {
        guard let field = head.headerFields[.contentDigest] else { return nil }
        guard let told = ContentDigest.all(in: field) else {
            throw Problem(
                .malformed,
                "Content-Digest must be digests in base64, as in sha-256=:BASE64:.")
        }
        if told.isEmpty { return nil }
        self.told = told
        digester = Digester(told.map(\.algorithm))
    }

    /// The next piece.
    mutating func update(_ piece: UnsafeRawBufferPointer) {
        // Sound: it is read before the call returns.
        unsafe digester.update(piece)
    }

    mutating func update(_ bytes: [UInt8]) { digester.update(bytes) }

    /// Throws when a digest differs.
    func finish() throws(Problem) {
        for (told, found) in zip(told, digester.finish()) where told != found {
            throw Problem(
                .digestMismatch,
                "The body's \(found.algorithm.rawValue) is not what Content-Digest says: it was "
                    + "damaged on the way, or is another body. Nothing changed; send it again.",
                members: [
                    ("content_digest", .string(told.text)),
                    ("computed_digest", .string(found.text)),
                ])
        }
    }
}

extension Response {
    /// The digest of the content, if the client asked for one.
    func contentDigest(for head: RequestHead) -> String? {
        guard let field = head.headerFields[.wantContentDigest],
            let algorithm = ContentDigest.wanted(by: field)
        else { return nil }
        var digester = Digester([algorithm])
        switch body {
        case .bytes(let bytes): digester.update(bytes)
        case .source(let source): digester.update(source)
        case .none, .stream: return nil
        }
        return digester.finish()[0].text
    }
}
