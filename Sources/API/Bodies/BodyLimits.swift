internal import Sessions

/// The limits on request bodies, in bytes.
struct BodyLimits {
    /// Bodies without vectors.
    let small: Int
    /// Bodies with one number a parameter.
    let vector: Int
    /// Bodies with one number a parameter, in JSON, whose parsing takes several times their length.
    let json: Int
    /// State dicts, which have two numbers a parameter for each pair of the history. The body stays
    /// in memory beside the parsed state dict, so large ones should use safetensors.
    let state: Int

    /// - Parameter most: The operator's limit on every body.
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
