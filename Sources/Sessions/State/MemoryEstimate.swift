/// Vectors that a session keeps beside its history: x, g, d, the previous g, the trial point, the
/// buffer of the next one, up to three gradients of a line search, and the best point.
private let workingVectors = 10

/// Bytes of memory that a session can come to need, its full history included. Saturates.
func memoryEstimate(
    count: Int, dtype: DType, historySize: Int, historyDType: HistoryDType?
) -> Int {
    let pairBytes = 2 * count * (historyDType ?? dtype.historyDType).size
    // One pair more than `historySize` is allocated, for the next one.
    let (pairs, pairsOverflow) = historySize.addingReportingOverflow(1)
    let (history, historyOverflow) = pairs.multipliedReportingOverflow(by: pairBytes)
    let (bytes, overflow) = history.addingReportingOverflow(workingVectors * count * dtype.size)
    return pairsOverflow || historyOverflow || overflow ? .max : bytes
}

extension SessionState {
    var memoryBytesEstimate: Int {
        memoryEstimate(
            count: layout.count, dtype: dtype, historySize: engine.options.historySize,
            historyDType: engine.options.historyDType)
    }
}
