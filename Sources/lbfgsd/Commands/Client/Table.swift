internal import Foundation
internal import Glibc

/// Rows for people: columns as wide as their widest cell, numbers to the right.
struct Table {
    private let header: [String]
    private var rows: [[String]] = []

    init(_ header: String...) { self.header = header }

    mutating func add(_ cells: String...) { rows.append(cells) }

    var isEmpty: Bool { rows.isEmpty }

    var text: String {
        var widths = header.map(\.count)
        for row in rows {
            for (column, cell) in row.enumerated() {
                widths[column] = max(widths[column], cell.count)
            }
        }
        return ([header] + rows).map { row in
            row.enumerated().map { column, cell in
                let room = String(repeating: " ", count: widths[column] - cell.count)
                return isNumber(column) ? room + cell : cell + room
            }.joined(separator: "  ").trimmingSuffix()
        }.joined(separator: "\n")
    }

    private func isNumber(_ column: Int) -> Bool {
        rows.allSatisfy { $0[column].isEmpty || $0[column] == "-" || Double($0[column]) != nil }
    }
}

extension String {
    fileprivate func trimmingSuffix() -> String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}

/// Six digits, which is enough to look at.
func shortText(_ number: Double) -> String {
    if let whole = Int(exactly: number), abs(whole) < 1_000_000 { return String(whole) }
    return String(format: "%.6g", number)
}

func shortText(_ number: Double?) -> String { number.map { shortText($0) } ?? "-" }

/// Every digit that the number has.
func exactText(_ number: Double) -> String {
    number.isNaN ? "nan" : number.isInfinite ? (number < 0 ? "-inf" : "inf") : "\(number)"
}

/// How long ago a time of the daemon's was: 5s, 12m, 3h, 8d.
func age(_ time: String, now: Date = .now) -> String {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    guard let date = try? style.parse(time) else { return time }
    let seconds = max(0, Int(now.timeIntervalSince(date)))
    return switch seconds {
    case ..<120: "\(seconds)s"
    case ..<7_200: "\(seconds / 60)m"
    case ..<172_800: "\(seconds / 3_600)h"
    default: "\(seconds / 86_400)d"
    }
}

func byteText(_ bytes: Int) -> String {
    var (value, unit) = (Double(bytes), 0)
    let units = ["B", "KB", "MB", "GB", "TB"]
    while value >= 1000, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
    return String(format: unit == 0 ? "%.0f %@" : "%.1f %@", value, units[unit])
}

/// The terminal's columns and rows; 80 and 24 where there is none.
func terminalSize() -> (columns: Int, rows: Int) {
    // struct winsize: rows, columns and two numbers of pixels.
    var size: [UInt16] = [0, 0, 0, 0]
    // Sound: TIOCGWINSZ fills in the structure.
    let isTerminal = unsafe size.withUnsafeMutableBytes {
        unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), $0.baseAddress!) == 0
    }
    guard isTerminal, size[0] > 0, size[1] > 0 else { return (80, 24) }
    return (Int(size[1]), Int(size[0]))
}
