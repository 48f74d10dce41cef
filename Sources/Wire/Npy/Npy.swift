public import SessionModel

/// One array in NumPy's own format (NEP 1; versions 1.0, 2.0 and 3.0): a magic string, the
/// version, the length of a header, the header, which is a Python dict as text, and the numbers.
/// Sessions use little-endian Float64 and Float32, row-major.
public enum Npy {
    static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
    /// Bytes before the length of the header: the magic string and two for the version.
    static let prefix = 8
    /// NumPy aligns the numbers to a multiple of this.
    private static let alignment = 64

    static func descr(_ dtype: DType) -> String {
        switch dtype {
        case .float64: "<f8"
        case .float32: "<f4"
        }
    }

    /// The header of the file of a vector, or of several that are the rows of a matrix, as NumPy
    /// writes it.
    /// - Parameter rows: The number of vectors; nil for one that is no matrix.
    public static func head(count: Int, rows: Int? = nil, dtype: DType) -> [UInt8] {
        let shape = rows.map { "(\($0), \(count))" } ?? "(\(count),)"
        var header = Array(
            "{'descr': '\(descr(dtype))', 'fortran_order': False, 'shape': \(shape), }".utf8)
        let length = prefix + 2 + header.count + 1
        let padding = (alignment - length % alignment) % alignment
        header += [UInt8](repeating: UInt8(ascii: " "), count: padding) + [UInt8(ascii: "\n")]
        return magic + [1, 0, UInt8(header.count & 0xFF), UInt8(header.count >> 8)] + header
    }
}
