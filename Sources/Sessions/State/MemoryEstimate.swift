/// Vectors that a session keeps beside its history: x, g, d, the previous g, the trial point, the
/// buffer of the next one, up to three gradients of a line search, and the best point.
private let workingVectors = 10

/// Bytes of memory that a session can come to need, its full history included. Saturates.
///
/// - Parameter shardCount: The shards of an evaluation, each of which keeps a gradient in Float64
///   until all are there; nil if it is told as a whole.
/// - Parameter bounds: What bounds and L1 weights add.
func memoryEstimate(
    count: Int, dtype: DType, historySize: Int, historyDType: HistoryDType?, shardCount: Int?,
    bounds: BoundsFootprint
) -> Int {
    let pairBytes = 2 * count * (historyDType ?? dtype.historyDType).size
    // One pair more than `historySize` is allocated, for the next one.
    let (pairs, pairsOverflow) = historySize.addingReportingOverflow(1)
    let (history, historyOverflow) = pairs.multipliedReportingOverflow(by: pairBytes)
    let (bytes, overflow) = history.addingReportingOverflow(workingVectors * count * dtype.size)
    // The products of the pairs with one another: two matrices of Float64.
    let (products, productsOverflow) = pairs.multipliedReportingOverflow(by: pairs)
    let (matrices, matricesOverflow) = products.multipliedReportingOverflow(by: 16)
    let (shards, shardsOverflow) = count.multipliedReportingOverflow(by: 8 * (shardCount ?? 0))
    let (small, smallOverflow) = matrices.addingReportingOverflow(shards)
    let (box, boxOverflow) = count.multipliedReportingOverflow(by: bounds.bytesPerNumber(dtype))
    let (bounded, boundedOverflow) = small.addingReportingOverflow(box)
    let (all, allOverflow) = bytes.addingReportingOverflow(bounded)
    let hasOverflow =
        pairsOverflow || historyOverflow || overflow || productsOverflow || matricesOverflow
        || shardsOverflow || smallOverflow || boxOverflow || boundedOverflow || allOverflow
    return hasOverflow ? .max : all
}

extension SessionState {
    var memoryBytesEstimate: Int {
        memoryEstimate(
            count: layout.count, dtype: dtype, historySize: engine.options.historySize,
            historyDType: engine.options.historyDType,
            shardCount: max(scalars.shardCount ?? 0, scalars.stepShardCount ?? 0),
            bounds: engine.sessionBounds.footprint)
    }
}
