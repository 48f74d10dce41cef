import Foundation
import SessionModel

/// A value of a row: what SQLite stores, and what the log's records and the trace batches encode.
package enum ColumnValue: Equatable, Sendable {
    case null
    case integer(Int64)
    /// SQLite's floating-point type. None of our columns has it, so it only appears in a row that
    /// has been changed from outside.
    case real(Double)
    case text(String)
    case bytes([UInt8])

    var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    var bytes: [UInt8]? { if case .bytes(let value) = self { value } else { nil } }
}

/// A type whose values are stored in a column.
///
/// Floats are stored as their bit patterns: SQLite turns a NaN into NULL and -0.0 into 0, and the
/// numbers must be read back bit for bit.
protocol ColumnConvertible {
    var columnValue: ColumnValue { get }
}

extension ColumnValue: ColumnConvertible {
    var columnValue: ColumnValue { self }
}
extension Int64: ColumnConvertible {
    var columnValue: ColumnValue { .integer(self) }
}
extension Int: ColumnConvertible {
    var columnValue: ColumnValue { .integer(Int64(self)) }
}
extension Double: ColumnConvertible {
    var columnValue: ColumnValue { .integer(Int64(bitPattern: bitPattern)) }
}
extension String: ColumnConvertible {
    var columnValue: ColumnValue { .text(self) }
}
extension [UInt8]: ColumnConvertible {
    var columnValue: ColumnValue { .bytes(self) }
}
extension Digest: ColumnConvertible {
    var columnValue: ColumnValue { .bytes(bytes) }
}
extension Date: ColumnConvertible {
    var columnValue: ColumnValue { .integer(microseconds) }
}
extension Optional: ColumnConvertible where Wrapped: ColumnConvertible {
    var columnValue: ColumnValue { self?.columnValue ?? .null }
}

extension Date {
    /// Microseconds since 1970, the precision of stored dates.
    var microseconds: Int64 { Int64((timeIntervalSince1970 * 1e6).rounded()) }

    init(microseconds: Int64) {
        self.init(timeIntervalSince1970: Double(microseconds) / 1e6)
    }
}
