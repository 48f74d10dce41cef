internal import Foundation

/// Curves of dots in a terminal: each character has two by four, in Unicode's braille patterns.
/// Losses are drawn on a logarithmic axis where all of them are positive.
struct TerminalPlot {
    struct Curve {
        var name: String
        /// Evaluation and value; those that aren't finite are left out.
        var points: [(x: Double, y: Double)]
    }

    private let curves: [Curve]
    private let columns: Int
    private let rows: Int
    private let isLogarithmic: Bool

    private static let axisColumns = 11
    private static let colours = [36, 33, 35, 32, 31, 34]

    init(_ curves: [Curve], columns: Int, rows: Int) {
        self.curves = curves.map { curve in
            Curve(
                name: curve.name, points: curve.points.filter { $0.x.isFinite && $0.y.isFinite })
        }
        self.columns = max(10, columns - Self.axisColumns)
        self.rows = max(4, rows)
        let values = self.curves.flatMap { $0.points.map(\.y) }
        isLogarithmic = !values.isEmpty && values.allSatisfy { $0 > 0 }
    }

    /// - Parameter isColoured: Whether the terminal shows a colour for each curve.
    func text(isColoured: Bool) -> String {
        let points = curves.flatMap(\.points)
        guard let first = points.first else { return "nothing to plot" }
        var (left, right, bottom, top) = (first.x, first.x, height(first.y), height(first.y))
        for point in points {
            (left, right) = (min(left, point.x), max(right, point.x))
            (bottom, top) = (min(bottom, height(point.y)), max(top, height(point.y)))
        }
        if top == bottom { (bottom, top) = (bottom - 1, top + 1) }
        var dots = [UInt8](repeating: 0, count: columns * rows)
        var owners = [Int?](repeating: nil, count: columns * rows)
        for (number, curve) in curves.enumerated() {
            for point in curve.points {
                let across = right == left ? 0 : (point.x - left) / (right - left)
                let down = (top - height(point.y)) / (top - bottom)
                let column = min(2 * columns - 1, Int(across * Double(2 * columns - 1) + 0.5))
                let row = min(4 * rows - 1, Int(down * Double(4 * rows - 1) + 0.5))
                let cell = row / 4 * columns + column / 2
                dots[cell] |= Self.bit(column: column % 2, row: row % 4)
                owners[cell] = number
            }
        }
        var lines: [String] = []
        for row in 0..<rows {
            let value = top - (top - bottom) * Double(row) / Double(rows - 1)
            let isLabelled = row == 0 || row == rows - 1 || row == rows / 2
            let label =
                isLabelled ? String(format: "%.3g", isLogarithmic ? pow(10, value) : value) : ""
            var line = String(repeating: " ", count: max(0, 9 - label.count)) + label + " |"
            for column in 0..<columns {
                let cell = row * columns + column
                let character = dots[cell] == 0 ? " " : Self.character(dots[cell])
                if isColoured, let owner = owners[cell] {
                    line +=
                        "\u{1B}[\(Self.colours[owner % Self.colours.count])m\(character)\u{1B}[0m"
                } else {
                    line += character
                }
            }
            lines.append(line)
        }
        let ends = (shortText(left), shortText(right))
        let gap = max(1, columns - ends.0.count - ends.1.count)
        lines.append(
            String(repeating: " ", count: Self.axisColumns) + ends.0
                + String(repeating: " ", count: gap) + ends.1)
        lines.append(legend(isColoured: isColoured))
        return lines.joined(separator: "\n")
    }

    private func legend(isColoured: Bool) -> String {
        let names = curves.enumerated().map { number, curve in
            isColoured
                ? "\u{1B}[\(Self.colours[number % Self.colours.count])m\(curve.name)\u{1B}[0m"
                : curve.name
        }
        let scale = isLogarithmic ? "loss (log) by evaluation" : "loss by evaluation"
        return String(repeating: " ", count: Self.axisColumns) + scale + ": "
            + names.joined(separator: ", ")
    }

    private func height(_ value: Double) -> Double { isLogarithmic ? log10(value) : value }

    /// Unicode numbers the dots of a braille pattern down the columns, and the last row after them.
    private static func bit(column: Int, row: Int) -> UInt8 {
        row == 3 ? 1 << UInt8(6 + column) : 1 << UInt8(3 * column + row)
    }

    private static func character(_ dots: UInt8) -> String {
        UnicodeScalar(0x2800 + UInt32(dots)).map { String(Character($0)) } ?? " "
    }
}
