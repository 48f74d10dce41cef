public import SessionModel

extension SessionFile.Number: TensorNumber {}

extension SessionFile.Header {
    /// The limit on a header's length: as much as a state dict's, for the names of as many tensors
    /// and parameters.
    public static let bytesMax = StateDict.headerBytesMax

    /// The bytes before the first tensor's.
    public var safetensors: [UInt8] {
        Safetensors.head(
            entries.map {
                Safetensors.Entry(name: $0.name, number: $0.number, shape: [$0.count])
            }, metadata: metadata)
    }

    /// The position of the first tensor's bytes in a file that begins with `first`. A result beyond
    /// the end of `first` is how many bytes are needed to say more.
    /// - Parameter count: Bytes of the whole file.
    public static func end(_ first: [UInt8], of count: Int) throws(WireError) -> Int {
        do throws(WireError) {
            return try Safetensors.headerEnd(first, of: count, headerBytesMax: bytesMax)
        } catch {
            throw error.ofFile
        }
    }

    /// Reads the header of a file of `count` bytes. O(header).
    /// - Parameter head: All bytes before the first tensor's.
    /// - Throws: `invalid` with the field that is wrong.
    public init(safetensors head: ArraySlice<UInt8>, of count: Int) throws(WireError) {
        do throws(WireError) {
            let header = try Safetensors.Header<SessionFile.Number>(head: head, of: count)
            var entries: [SessionFile.Entry] = []
            for place in header.places {
                guard place.shape.count == 1 else {
                    throw .invalid(
                        "\(place.name).shape", "must have one dimension, not be \(place.shape)")
                }
                entries.append(
                    SessionFile.Entry(
                        name: place.name, number: place.number, count: place.shape[0]))
            }
            self.init(metadata: header.metadata, entries: entries)
        } catch {
            throw error.ofFile
        }
    }
}

extension WireError {
    /// A file that can't be read at all is a file that is wrong: the request could be read.
    fileprivate var ofFile: WireError {
        switch self {
        case .malformed(let reason): .invalid("body", "is no session file: \(reason)")
        case .invalid: self
        }
    }
}

/// Labels as a query has them: a JSON object of strings.
public enum LabelsText {
    public static func labels(_ text: String, field: String) throws(WireError) -> [String: String] {
        do throws(WireError) {
            return try JSONField(value: JSONDocument(Array(text.utf8)).value, path: field).labels()
        } catch .malformed(let reason) {
            throw .invalid(field, "is not JSON: \(reason)")
        } catch {
            throw error
        }
    }
}
