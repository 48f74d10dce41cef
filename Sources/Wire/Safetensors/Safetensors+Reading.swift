internal import SessionModel

extension Safetensors {
    /// The limit on a header's length. The format's own is a hundred million bytes, all of which
    /// would have to be parsed before anything could be checked.
    public static let headerBytesMax = 1 << 20

    /// Bytes of the header's length, which precedes the header.
    private static let prefix = 8

    /// Parses a whole file, and refuses what the reference implementation refuses: tensors that
    /// overlap or leave gaps, that are shorter or longer than their shape needs, and bytes that
    /// belong to none. Their order in the header doesn't matter. Stricter than the reference in the
    /// header's JSON: a name may come once, and unknown fields are refused.
    ///
    /// `malformed` where the bytes are no header, or end too early; otherwise `invalid` with the
    /// tensor's name. O(header), as tensors share the bytes.
    public init(
        bytes: [UInt8], headerBytesMax: Int = Safetensors.headerBytesMax
    ) throws(WireError) {
        let start = try Safetensors.headerEnd(
            bytes, of: bytes.count, headerBytesMax: headerBytesMax)
        let header = try Header<Number>(head: bytes[..<start], of: bytes.count)
        self.init(
            tensors: header.places.map { place in
                Tensor(
                    name: place.name, number: place.number, shape: place.shape,
                    bytes: bytes[start + place.bytes.lowerBound..<start + place.bytes.upperBound])
            },
            metadata: header.metadata)
    }

    /// The position of the first tensor's bytes in a file that begins with `first`. A result beyond
    /// the end of `first` is how many bytes are needed to say more.
    ///
    /// - Parameter count: Bytes of the whole file.
    static func headerEnd(
        _ first: [UInt8], of count: Int, headerBytesMax: Int
    ) throws(WireError) -> Int {
        guard count >= prefix else {
            throw .malformed("\(count) bytes, and a header's length alone takes \(prefix)")
        }
        guard first.count >= prefix else { return prefix }
        let length = first[..<prefix].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(headerBytesMax) else {
            throw .invalid(
                "header",
                "must have at most \(headerBytesMax) bytes, and says that it has \(length)")
        }
        guard Int(length) <= count - prefix else {
            throw .malformed(
                "unexpected end in the header, which should have \(length) bytes and has "
                    + "\(count - prefix)")
        }
        return prefix + Int(length)
    }

    /// The header of a file whose tensors have these types of numbers.
    struct Header<Number: TensorNumber> {
        var metadata: [String: String] = [:]
        /// In the order of their bytes, which they cover without gaps.
        var places: [Place<Number>] = []

        /// - Parameters:
        ///   - head: The header, preceded by its length.
        ///   - count: Bytes of the whole file.
        init(head: ArraySlice<UInt8>, of count: Int) throws(WireError) {
            let text = head.dropFirst(Safetensors.prefix)
            for (name, field) in try Safetensors.header(text).members() {
                if name == Safetensors.metadataKey {
                    for (key, text) in try field.members() { metadata[key] = try text.string() }
                } else {
                    places.append(try Place<Number>(name: name, field))
                }
            }
            // By the end too, so that an empty tensor precedes the one that begins at its place.
            places.sort {
                ($0.bytes.lowerBound, $0.bytes.upperBound)
                    < ($1.bytes.lowerBound, $1.bytes.upperBound)
            }
            try Safetensors.check(places, against: count - head.count)
        }
    }

    private static func header(_ text: ArraySlice<UInt8>) throws(WireError) -> JSONField {
        guard text.first == UInt8(ascii: "{") else {
            throw .malformed("the header doesn't begin with {")
        }
        do {
            return try JSONField(document: Array(text))
        } catch .malformed(let reason) {
            throw .malformed("the header is not JSON: \(reason)")
        } catch {
            throw error
        }
    }

    /// Checks that the places, in order, cover the data without gaps and overlaps.
    private static func check<Number: TensorNumber>(
        _ places: [Place<Number>], against count: Int
    ) throws(WireError) {
        var end = 0
        var last = ""
        for place in places {
            let begin = place.bytes.lowerBound
            if begin < end {
                throw place.fails("overlaps \(last), which ends at byte \(end)")
            }
            if begin > end {
                throw place.fails("leaves a gap: it begins at byte \(begin), not \(end)")
            }
            end = place.bytes.upperBound
            last = place.name
            guard end <= count else {
                throw .malformed(
                    "unexpected end in the tensor \(last), which should end at byte \(end) of the "
                        + "data and not \(count)")
            }
        }
        guard end == count else {
            throw .invalid("body", "has \(count - end) bytes after the last tensor")
        }
    }
}

/// A type of numbers, by its name in a header.
protocol TensorNumber: RawRepresentable<String>, CaseIterable {
    /// Bytes a number.
    var size: Int { get }
}

extension Safetensors.Number: TensorNumber {}

extension Safetensors {
    /// The header's entry for a tensor.
    struct Place<Number: TensorNumber> {
        var name: String
        var number: Number
        var shape: [Int]
        /// Counted from the end of the header.
        var bytes: Range<Int>
    }
}

extension Safetensors.Place {
    fileprivate func fails(_ reason: String) -> WireError {
        .invalid("\(name).data_offsets", reason)
    }

    fileprivate init(name: String, _ field: JSONField) throws(WireError) {
        let fields = try field.object(known: ["dtype", "shape", "data_offsets"])
        self.name = name
        number = try fields.required("dtype").choice(Number.self)
        shape = try fields.required("shape").sizes()
        guard shape.count <= TensorHeader.rankMax else {
            throw .invalid(
                "\(name).shape",
                "has \(shape.count) dimensions; the limit is \(TensorHeader.rankMax)")
        }
        let offsets = try fields.required("data_offsets")
        let ends = try offsets.sizes()
        guard ends.count == 2, ends[0] <= ends[1] else {
            throw offsets.fails("must be a begin and an end, not \(ends)")
        }
        bytes = ends[0]..<ends[1]
        var needed = number.size
        for dimension in shape {
            let (product, overflow) = needed.multipliedReportingOverflow(by: dimension)
            guard !overflow else {
                throw .invalid("\(name).shape", "\(shape) has more elements than there can be")
            }
            needed = product
        }
        guard bytes.count == needed else {
            throw fails(
                "have \(bytes.count) bytes, and \(shape) of \(number.rawValue) has \(needed)")
        }
    }
}

extension JSONField {
    /// An array of non-negative integers.
    fileprivate func sizes() throws(WireError) -> [Int] {
        let sizes = try integers()
        if let index = sizes.firstIndex(where: { $0 < 0 }) {
            throw .invalid("\(path)[\(index)]", "must be at least 0, not \(sizes[index])")
        }
        return sizes
    }
}
