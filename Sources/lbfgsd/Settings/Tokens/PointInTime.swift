internal import Foundation

/// Dates and times as an operator writes them (RFC 3339).
enum PointInTime {
    /// Seconds since 1970 of `2027-01-01` (the day's beginning in UTC) or `2027-01-01T12:00:00Z`,
    /// also with an offset for the Z; nil for anything else.
    static func seconds(_ text: String) -> Int64? {
        let instant = text.count == 10 ? text + "T00:00:00Z" : text
        guard let date = try? Date(instant, strategy: .iso8601) else { return nil }
        // The parser is lenient; a day that doesn't exist must not become another.
        let day = Date.ISO8601FormatStyle().year().month().day()
        let isExact = text.count == 10 ? date.formatted(day) == text : true
        return isExact ? Int64(date.timeIntervalSince1970) : nil
    }
}
