internal import Sessions

/// The limits on request bodies, in bytes.
struct BodyLimits {
    /// Bodies without vectors.
    let small: Int
    /// Bodies with one number a parameter.
    let vector: Int
    /// Bodies with bounds and L1 weights, and maybe values: up to four numbers a parameter.
    let bounded: Int
    /// The same in JSON.
    let boundedJSON: Int
    /// The names of all parameters, as headers and documents have them.
    let names: Int
    /// Bodies with one number a parameter, in JSON, whose parsing takes several times their length.
    let json: Int
    /// State dicts, which have two numbers a parameter for each pair of the history. The body stays
    /// in memory beside the parsed state dict, so large ones should use safetensors.
    let state: Int
    /// Session files: the vectors of the largest session, and a header.
    let sessionFile: Int

    /// - Parameter most: The operator's limit on every body.
    init(_ limits: Limits, most: Int) {
        let plain = 64 << 10
        // The longest Float64 in JSON has 24 characters; then a comma and a space, and some room.
        let numbers = limits.parametersMax.multipliedReportingOverflow(by: 30)
        names = limits.tensorsMax * (4 * limits.nameLengthMax + 200)
        let numbered = (numbers.overflow ? Int.max / 4 : numbers.partialValue) + names + plain
        small = min(plain, most)
        vector = min(numbered, most)
        let fourfold = numbered.multipliedReportingOverflow(by: 4)
        bounded = min(fourfold.overflow ? .max : fourfold.partialValue, most)
        json = min(vector, 512 << 20)
        let (largest, overflow) = limits.sessionBytesMax.addingReportingOverflow(64 << 20)
        sessionFile = min(overflow ? .max : largest, most)
        boundedJSON = min(bounded, 512 << 20)
        state = min(max(numbered, 1 << 30), most)
    }
}
