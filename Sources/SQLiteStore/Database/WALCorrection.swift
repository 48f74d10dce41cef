import DiskLog

// Undoing a flipped bit in a copy of SQLite's WAL, so that the commits behind it are seen.

extension WALInspection {
    /// A way to make a wrong frame one that SQLite accepts.
    enum Correction {
        case flipping(Bit)
        /// The page stays as it is, and the checksums of it and of what continues it are made anew.
        /// A page with one wrong bit, of which the checksums of rows tell more, is better than one
        /// with two, and than a WAL that ends before it. If a later frame has the page again,
        /// nothing is wrong at all.
        case accepting
    }

    /// The likeliest first; empty if more than a bit of the frame has changed.
    ///
    /// If several bits could be the one, one of them is the likeliest only if it alone agrees with
    /// what the page was before.
    /// - Parameters:
    ///   - wal: The path of the WAL.
    ///   - tables: That of the database.
    static func corrections(
        of damage: Damage, in wal: String, of tables: String
    ) throws -> [Correction] {
        if let bit = damage.flipped { return [.flipping(bit)] }
        guard !damage.candidates.isEmpty,
            var log = Frames(try DiskFile(wal, for: .reading).readAll())
        else { return [] }
        let best = try likeliest(
            damage.candidates, in: &log, frame: log.frame(at: damage.offset), of: tables)
        return (best.map { [.flipping($0)] } ?? []) + [.accepting]
            + damage.candidates.filter { $0 != best }.map { .flipping($0) }
    }

    static func apply(_ correction: Correction, of damage: Damage, to wal: String) throws {
        let file = try DiskFile(wal, for: .writing)
        guard var log = Frames(try file.readAll()) else { return }
        switch correction {
        case .flipping(let bit): log.flip(bit)
        case .accepting: log.acceptAsItIs(log.frame(at: damage.offset))
        }
        try file.write(log.bytes, at: 0)
    }

    /// The one bit that agrees with what the page was before; nil if none does, or several do.
    private static func likeliest(
        _ candidates: [Bit], in log: inout Frames, frame: Int, of tables: String
    ) throws -> Bit? {
        let page = log.page(of: frame)
        let former = try formerPage(log.field(0, of: frame), in: log, before: frame, of: tables)
        let likeness = former.map { Self.likeness($0, log.bytes[page]) } ?? 0
        var found: [Bit] = []
        for bit in candidates {
            log.flip(bit)
            defer { log.flip(bit) }
            if bit.offset < page.lowerBound {
                // Of the page's number: the content is rather that of the other page.
                let other = try formerPage(
                    log.field(0, of: frame), in: log, before: frame, of: tables)
                if let other, Self.likeness(other, log.bytes[page]) > likeness { return bit }
            } else if let former {
                let word = (bit.offset - page.lowerBound) / 4 * 4
                let at = page.lowerBound + word
                if former[word..<word + 4] == log.bytes[at..<at + 4] { found.append(bit) }
            }
        }
        return found.count == 1 ? found[0] : nil
    }

    /// How many bytes two pages have in common.
    private static func likeness(_ one: [UInt8], _ other: ArraySlice<UInt8>) -> Int {
        zip(one, other).reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 0) }
    }

    /// A page as it was before a frame; nil if there was none.
    private static func formerPage(
        _ number: UInt32, in log: Frames, before frame: Int, of tables: String
    ) throws -> [UInt8]? {
        for earlier in (0..<frame).reversed() where log.field(0, of: earlier) == number {
            return Array(log.bytes[log.page(of: earlier)])
        }
        let file = try DiskFile(tables, for: .reading)
        guard number > 0, try Int(number) * log.pageBytes <= file.size() else { return nil }
        return try StoreBackup.bytes(
            of: file, at: (Int(number) - 1) * log.pageBytes, count: log.pageBytes)
    }
}

extension WALInspection.Frames {
    fileprivate func frame(at offset: Int) -> Int {
        (offset - WALInspection.headerBytes) / (WALInspection.frameHeaderBytes + pageBytes)
    }

    fileprivate func page(of frame: Int) -> Range<Int> {
        let start = offset(of: frame) + WALInspection.frameHeaderBytes
        return start..<start + pageBytes
    }
}
