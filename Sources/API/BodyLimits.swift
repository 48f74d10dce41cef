internal import Sessions

/// The largest bodies that are read, in bytes.
struct BodyLimits {
    /// Bodies without vectors.
    let small = 64 << 10
    /// Bodies with one number a parameter.
    let vector: Int
    /// State dicts, which have two numbers a parameter for each pair of the history. JSON is the
    /// wrong form for a large one, and the body is held in memory beside what is made of it.
    let state: Int

    init(_ limits: Limits) {
        // The longest Float64 in JSON has 24 characters; then a comma and a space, and some room.
        let numbers = limits.parametersMax.multipliedReportingOverflow(by: 30)
        let names = limits.tensorsMax * (4 * limits.nameLengthMax + 200)
        vector = (numbers.overflow ? Int.max / 4 : numbers.partialValue) + names + small
        state = max(vector, 1 << 30)
    }
}
