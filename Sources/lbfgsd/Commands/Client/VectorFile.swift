internal import Foundation

/// A vector in a file of the user's, by the file's extension: `.npy`, `.raw` or `.bin` (the
/// session's own little-endian numbers), else text, with line ends, blanks or commas between.
struct VectorFile {
    enum Form: Equatable {
        case npy, octets, text

        /// As the API names it.
        var mediaType: String {
            switch self {
            case .npy: "application/x-npy"
            case .octets: "application/octet-stream"
            case .text: "application/json"
            }
        }
    }

    let path: String
    let form: Form

    /// - Parameter path: `-` is standard input or output, as text.
    init(_ path: String) {
        self.path = path
        form =
            switch (path as NSString).pathExtension {
            case "npy": .npy
            case "raw", "bin": .octets
            default: .text
            }
    }

    func read() throws(CommandFailure) -> [UInt8] {
        do {
            if path == "-" { return [UInt8](try FileHandle.standardInput.readToEnd() ?? Data()) }
            return [UInt8](try Data(contentsOf: URL(filePath: path)))
        } catch {
            throw CommandFailure(.storage, "\(path): can't be read")
        }
    }

    /// The numbers of a text.
    func numbers() throws(CommandFailure) -> [Double] {
        try Self.numbers(String(decoding: read(), as: UTF8.self), in: path)
    }

    static func numbers(_ text: String, in what: String) throws(CommandFailure) -> [Double] {
        var numbers: [Double] = []
        for word in text.split(whereSeparator: { $0.isWhitespace || $0 == "," }) {
            guard let number = Double(fortran: word) else {
                throw CommandFailure(.usage, "\(what): \(word.prefix(40)) is no number")
            }
            numbers.append(number)
        }
        return numbers
    }

    func write(_ bytes: [UInt8]) throws(CommandFailure) {
        do {
            if path == "-" {
                try FileHandle.standardOutput.write(contentsOf: Data(bytes))
            } else {
                // A reader never sees half of it.
                try Data(bytes).write(to: URL(filePath: path), options: .atomic)
            }
        } catch {
            throw CommandFailure(.storage, "\(path): can't be written")
        }
    }

    func write(_ numbers: [Double]) throws(CommandFailure) {
        try write(Array(numbers.map { exactText($0) + "\n" }.joined().utf8))
    }
}

extension Double {
    /// A number as C, Python or Fortran writes it: Fortran has D for the exponent of a double.
    init?(fortran word: some StringProtocol) {
        let word = String(word.map { $0 == "D" || $0 == "d" ? "e" : $0 })
        switch word.lowercased() {
        case "nan", "+nan", "-nan": self = .nan
        case "inf", "+inf", "infinity", "+infinity": self = .infinity
        case "-inf", "-infinity": self = -.infinity
        default:
            guard let number = Double(word) else { return nil }
            self = number
        }
    }
}

/// A number in JSON, where the numbers that aren't finite are strings.
func jsonText(_ number: Double) -> String {
    number.isFinite
        ? "\(number)" : number.isNaN ? "\"NaN\"" : number < 0 ? "\"-Infinity\"" : "\"Infinity\""
}

func jsonText(_ numbers: [Double]) -> String {
    "[" + numbers.map { jsonText($0) }.joined(separator: ",") + "]"
}
