internal import Foundation

/// Where a gradient is checked, and how far points may be from there, relative to steps.
struct CheckedStart: Sendable {
    let x: [Double]
    let lengths: [Double]

    init(_ start: StartOptions) throws(CommandFailure) {
        try start.requireStart()
        var numbers = [Double](repeating: start.fill, count: start.n ?? 0)
        if let x0 = start.x0 { numbers = try StartOptions.numbers(x0) }
        guard !numbers.isEmpty, numbers.allSatisfy(\.isFinite) else {
            throw CommandFailure(.usage, "the start must have finite numbers")
        }
        let isSingle = start.dtype == "float32"
        if isSingle { numbers = numbers.map { Double(Float($0)) } }
        let lower = try Self.bounds(start.lower, numbers.count, none: -.infinity)
        let upper = try Self.bounds(start.upper, numbers.count, none: .infinity)
        let usual = min(1, numbers.map(abs).max() ?? 0)
        let widest =
            cbrt(isSingle ? Double(Float.ulpOfOne) : .ulpOfOne)
            * pow(GradientProbe.ratio, Double(GradientProbe.sweep[0]))
        var lengths: [Double] = []
        for index in numbers.indices {
            let (low, high) = (lower[index], upper[index])
            guard low <= high else {
                throw CommandFailure(.usage, "the bounds of number \(index) are crossed")
            }
            let length = max(abs(numbers[index]), usual == 0 ? 1 : usual)
            // Room on both sides for the widest step, if there is any; noise makes it longer.
            let room = min(16 * widest * length, (high - low) / 4)
            numbers[index] = max(low + room, min(high - room, numbers[index]))
            if isSingle { numbers[index] = Double(Float(numbers[index])) }
            let free = min(numbers[index] - low, high - numbers[index])
            lengths.append(min(length, max(0, free) / (12 * widest)))
        }
        (x, self.lengths) = (numbers, lengths)
    }

    private static func bounds(
        _ text: String?, _ count: Int, none: Double
    ) throws(CommandFailure) -> [Double] {
        guard let text else { return [Double](repeating: none, count: count) }
        let numbers = try StartOptions.numbers(text)
        if numbers.count == 1 { return [Double](repeating: numbers[0], count: count) }
        guard numbers.count == count, !numbers.contains(where: \.isNaN) else {
            throw CommandFailure(
                .usage, "there are \(numbers.count) bounds, and \(count) numbers in the start")
        }
        return numbers
    }
}
