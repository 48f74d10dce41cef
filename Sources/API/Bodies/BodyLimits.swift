internal import Sessions

/// The largest bodies that are read, in bytes.
struct BodyLimits {
    /// Bodies without vectors.
    let small: Int
    /// Bodies with one number a parameter.
    let vector: Int
    /// The same in JSON, which takes several times its length while it is read.
    let json: Int
    /// State dicts, which have two numbers a parameter for each pair of the history. JSON is the
    /// wrong form for a large one, and the body is held in memory beside what is made of it.
    let state: Int

    /// - Parameter most: What the operator allows at most, whatever the body is.
    init(_ limits: Limits, most: Int) {
        let plain = 64 << 10
        // The longest Float64 in JSON has 24 characters; then a comma and a space, and some room.
        let numbers = limits.parametersMax.multipliedReportingOverflow(by: 30)
        let names = limits.tensorsMax * (4 * limits.nameLengthMax + 200)
        let numbered = (numbers.overflow ? Int.max / 4 : numbers.partialValue) + names + plain
        small = min(plain, most)
        vector = min(numbered, most)
        json = min(vector, 512 << 20)
        state = min(max(numbered, 1 << 30), most)
    }
}
