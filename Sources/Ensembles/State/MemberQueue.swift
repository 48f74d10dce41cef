/// Numbers of members in the order in which their points are offered. O(1) amortised.
struct MemberQueue: Sendable {
    private var numbers: [Int] = []
    private var start = 0

    mutating func append(_ number: Int) { numbers.append(number) }

    mutating func popFirst() -> Int? {
        guard start < numbers.count else { return nil }
        let number = numbers[start]
        start += 1
        if start > 64, start > numbers.count / 2 {
            numbers.removeFirst(start)
            start = 0
        }
        return number
    }
}
