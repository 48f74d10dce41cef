import DiskLog

/// Looks for damage in SQLite's WAL before SQLite recovers it.
///
/// SQLite ends recovery at the first frame that does not match its checksum, which is right for a
/// transaction that a power loss tore, and loses every later commit without a word when a bit of a
/// synced frame has changed. The two can be told apart:
///
/// - Each frame's checksum continues from the one before, as stored. A frame that continues a
///   commit frame was written after that commit, and commits are synced before anything follows.
///   So if frames from the first wrong one on contain a commit that another frame continues, the
///   wrong one had been synced.
/// - A torn frame has sectors of something else. If one bit makes the wrong frame right, it was
///   whole once.
/// - The header is synced before the first frame is written, and lies in one sector.
enum WALInspection {
    /// A bit of the file.
    struct Bit: Equatable {
        /// That of its byte.
        let offset: Int
        let mask: UInt8
    }

    struct Damage: Equatable, CustomStringConvertible {
        let path: String
        /// Where the wrong frame, or the header, begins.
        let offset: Int
        /// The bits of which any one makes the frame right; empty if none does. The sums are modulo
        /// 2^32, so that a high bit of a word changes them as the same bit of others does.
        var candidates: [Bit] = []

        /// The bit that has changed, if it is known which.
        var flipped: Bit? { candidates.count == 1 ? candidates[0] : nil }

        var description: String {
            let what = offset == 0 ? "header" : "frame at byte \(offset)"
            let bit =
                flipped.map { ": a bit of byte \($0.offset) has changed" }
                ?? (candidates.isEmpty ? "" : ": a bit has changed")
            return "\(path) is damaged: its \(what) is not what was synced\(bit)"
        }
    }

    static let headerBytes = 32
    static let frameHeaderBytes = 24

    /// The checksum of SQLite's WAL, over pairs of words.
    struct Sums: Equatable {
        var first: UInt32
        var second: UInt32

        mutating func add(_ words: (UInt32, UInt32)) {
            first = first &+ words.0 &+ second
            second = second &+ words.1 &+ first
        }
    }

    /// Returns nil for a WAL that is whole, or that ends with a torn transaction.
    static func damage(at path: String) throws -> Damage? {
        let bytes: [UInt8]
        do {
            bytes = try DiskFile(path, for: .reading).readAll()
        } catch let error as FileError where error.isAbsent {
            return nil
        }
        guard bytes.count > headerBytes else { return nil }
        guard let log = Frames(bytes) else { return Damage(path: path, offset: 0) }
        return log.damage.map { index, candidates in
            Damage(path: path, offset: log.offset(of: index), candidates: candidates)
        }
    }

    /// The frames of a WAL whose header is right.
    struct Frames {
        private(set) var bytes: [UInt8]
        let pageBytes: Int
        let isBigEndian: Bool
        private let salts: (UInt32, UInt32)
        private let headerSums: Sums

        var count: Int {
            (bytes.count - WALInspection.headerBytes)
                / (WALInspection.frameHeaderBytes + pageBytes)
        }

        /// nil if the header is wrong.
        init?(_ bytes: [UInt8]) {
            self.bytes = bytes
            let magic = Self.word(bytes, at: 0, bigEndian: true)
            isBigEndian = magic & 1 == 1
            pageBytes = Int(Self.word(bytes, at: 8, bigEndian: true))
            salts = (
                Self.word(bytes, at: 16, bigEndian: true), Self.word(bytes, at: 20, bigEndian: true)
            )
            headerSums = Sums(
                first: Self.word(bytes, at: 24, bigEndian: true),
                second: Self.word(bytes, at: 28, bigEndian: true))
            var sums = Sums(first: 0, second: 0)
            for at in stride(from: 0, to: 24, by: 8) {
                sums.add(Self.pair(bytes, at: at, bigEndian: isBigEndian))
            }
            guard magic & ~1 == 0x377F_0682, sums == headerSums, pageBytes >= 512,
                pageBytes <= 65536, pageBytes.nonzeroBitCount == 1
            else { return nil }
        }

        /// Four bytes of the array; the caller has checked the range.
        private static func word(_ bytes: [UInt8], at offset: Int, bigEndian: Bool) -> UInt32 {
            let word = unsafe bytes.withUnsafeBytes {
                unsafe $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            }
            return bigEndian ? UInt32(bigEndian: word) : UInt32(littleEndian: word)
        }

        private static func pair(
            _ bytes: [UInt8], at offset: Int, bigEndian: Bool
        ) -> (UInt32, UInt32) {
            (
                word(bytes, at: offset, bigEndian: bigEndian),
                word(bytes, at: offset + 4, bigEndian: bigEndian)
            )
        }

        func offset(of frame: Int) -> Int {
            WALInspection.headerBytes + frame * (WALInspection.frameHeaderBytes + pageBytes)
        }

        func field(_ number: Int, of frame: Int) -> UInt32 {
            Self.word(bytes, at: offset(of: frame) + 4 * number, bigEndian: true)
        }

        private func isCommit(_ frame: Int) -> Bool { field(1, of: frame) != 0 }

        private func hasSalts(_ frame: Int) -> Bool {
            field(2, of: frame) == salts.0 && field(3, of: frame) == salts.1
        }

        func storedSums(_ frame: Int) -> Sums {
            Sums(first: field(4, of: frame), second: field(5, of: frame))
        }

        /// The offsets of the pairs of words that a frame's checksum covers.
        private func covered(_ frame: Int) -> [Int] {
            let start = offset(of: frame)
            let page = start + WALInspection.frameHeaderBytes
            return [start] + Array(stride(from: page, to: page + pageBytes, by: 8))
        }

        func sums(of frame: Int, after former: Sums) -> Sums {
            var sums = former
            let start = offset(of: frame)
            let page = start + WALInspection.frameHeaderBytes
            // Sound: the whole frame lies in the array.
            unsafe bytes.withUnsafeBytes { bytes in
                func add(_ at: Int) {
                    let first = unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)
                    let second = unsafe bytes.loadUnaligned(
                        fromByteOffset: at + 4, as: UInt32.self)
                    sums.add(
                        isBigEndian
                            ? (UInt32(bigEndian: first), UInt32(bigEndian: second))
                            : (UInt32(littleEndian: first), UInt32(littleEndian: second)))
                }
                add(start)
                var at = page
                while at < page + pageBytes {
                    add(at)
                    at += 8
                }
            }
            return sums
        }

        /// Whether a frame continues the stored checksum of the one before.
        private func isRight(_ frame: Int, after former: Sums) -> Bool {
            hasSalts(frame) && field(0, of: frame) != 0
                && sums(of: frame, after: former) == storedSums(frame)
        }

        /// Makes a frame right as it is, and those that continue it.
        mutating func acceptAsItIs(_ wrong: Int) {
            var former = wrong == 0 ? headerSums : storedSums(wrong - 1)
            var frame = wrong
            var stored: Sums
            repeat {
                stored = storedSums(frame)
                former = sums(of: frame, after: former)
                for (number, sum) in [former.first, former.second].enumerated() {
                    let at = offset(of: frame) + 16 + 4 * number
                    for byte in 0..<4 {
                        bytes[at + byte] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * byte))
                    }
                }
                frame += 1
            } while frame < count && isRight(frame, after: stored)
        }

        mutating func flip(_ bit: Bit) { bytes[bit.offset] ^= bit.mask }

        /// The first wrong frame, if it was right once.
        var damage: (index: Int, candidates: [Bit])? {
            var sums = headerSums
            var wrong = 0
            while wrong < count, isRight(wrong, after: sums) {
                sums = storedSums(wrong)
                wrong += 1
            }
            guard wrong < count else { return nil }
            let candidates = flippedBits(of: wrong, after: sums)
            if !candidates.isEmpty { return (wrong, candidates) }
            for frame in wrong..<max(wrong, count - 1)
            where hasSalts(frame) && isCommit(frame) && hasSalts(frame + 1)
                && self.sums(of: frame + 1, after: storedSums(frame)) == storedSums(frame + 1)
            {
                return (wrong, [])
            }
            return nil
        }

        /// The bits of which any one makes a frame right.
        private func flippedBits(of frame: Int, after former: Sums) -> [Bit] {
            let own = sums(of: frame, after: former)
            let stored = storedSums(frame)
            let start = offset(of: frame)
            // What the checksum does not cover: the salts, and itself.
            let expected = [salts.0, salts.1, own.first, own.second]
            let differences = (0..<4).map { field($0 + 2, of: frame) ^ expected[$0] }
            var found: [Bit] = []
            if differences.reduce(0, { $0 + $1.nonzeroBitCount }) == 1,
                let number = differences.firstIndex(where: { $0 != 0 })
            {
                let bit = differences[number].trailingZeroBitCount
                found.append(
                    Bit(offset: start + 8 + 4 * number + 3 - bit / 8, mask: 1 << UInt8(bit % 8)))
                // What follows continues the checksum that was written.
                if number < 2 || frame + 1 < count && isRight(frame + 1, after: own) {
                    return found
                }
                if frame + 1 < count && isRight(frame + 1, after: stored) { found = [] }
            }
            guard hasSalts(frame) else { return [] }
            // The checksum is linear: a change d of a word changes the sums by multiples of d,
            // which grow with the count of words that follow.
            let change = Sums(
                first: stored.first &- own.first, second: stored.second &- own.second)
            var weights = [Sums(first: 1, second: 1), Sums(first: 0, second: 1)]
            for pair in covered(frame).reversed() {
                for (part, weight) in weights.enumerated() {
                    let at = pair + 4 * part
                    let word = Self.word(bytes, at: at, bigEndian: isBigEndian)
                    for bit in 0..<32 {
                        let mask: UInt32 = 1 << UInt32(bit)
                        let d = word & mask == 0 ? mask : 0 &- mask
                        if d &* weight.first == change.first, d &* weight.second == change.second {
                            let byte = isBigEndian ? 3 - bit / 8 : bit / 8
                            found.append(Bit(offset: at + byte, mask: 1 << UInt8(bit % 8)))
                        }
                    }
                }
                weights = weights.map { weight in
                    let first = weight.first &+ weight.second
                    return Sums(first: first, second: first &+ weight.second)
                }
            }
            return found
        }
    }
}
