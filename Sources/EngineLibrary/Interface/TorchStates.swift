public import CLbfgsd
internal import LBFGS

extension Engine {
    /// Replaces history and counts.
    /// - Parameter state: nil: that of a new optimizer. Its vectors have as many numbers as it
    ///   says.
    fileprivate func load(_ state: lbfgsd_torch_state?) throws(LibraryError) {
        guard !isStepping else { throw .stepRuns }
        let read: TorchState<Scalar>? =
            if let state = unsafe state { try unsafe torchState(state) } else { nil }
        do throws(TorchStateError) {
            try optimizer.load(read)
        } catch {
            throw LibraryError(LBFGSD_ERROR_STATE, "\(error.key) \(error.reason)")
        }
    }

    @unsafe
    private func torchState(
        _ state: lbfgsd_torch_state
    ) throws(LibraryError) -> TorchState<Scalar> {
        let pairs = unsafe Int(clamping: UInt(bitPattern: state.pair_count))
        let (numbers, overflow) = pairs.multipliedReportingOverflow(by: count)
        guard !overflow, numbers <= Int.max / 8 else {
            throw LibraryError(LBFGSD_ERROR_STATE, "pair_count is too large: \(pairs)")
        }
        func known(_ number: Double) -> Double? { number.isNaN ? nil : number }
        // Sound: the caller has as many numbers there.
        func vector(_ memory: UnsafeRawPointer?, _ index: Int = 0) -> [Scalar]? {
            guard let memory = unsafe memory else { return nil }
            let first = unsafe memory.assumingMemoryBound(to: Scalar.self) + index * count
            return unsafe Array(UnsafeBufferPointer(start: first, count: count))
        }
        func vectors(_ memory: UnsafeRawPointer?) -> [[Scalar]]? {
            guard let memory = unsafe memory else { return nil }
            return (0..<pairs).compactMap { unsafe vector(memory, $0) }
        }
        let alphas: [Double?]? =
            if let al = unsafe state.al {
                unsafe Array(UnsafeBufferPointer(start: al, count: state.al_count))
            } else { nil }
        return unsafe TorchState(
            funcEvals: Int(state.func_evals), nIter: Int(state.n_iter), d: vector(state.d),
            t: known(state.t), oldDirs: vectors(state.old_dirs), oldStps: vectors(state.old_stps),
            hDiag: known(state.h_diag), prevFlatGrad: vector(state.prev_flat_grad),
            prevLoss: known(state.prev_loss), al: alphas)
    }
}

@c @implementation
public func lbfgsd_load_torch_state(
    _ optimizer: OpaquePointer!, _ state: UnsafePointer<lbfgsd_torch_state>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let handle = try unsafe EngineHandle.of(optimizer)
        var read: lbfgsd_torch_state?
        if let state = unsafe state {
            // The first field, which every version of the structure has.
            let size = unsafe UnsafeRawPointer(state).load(as: Int.self)
            let expected = unsafe MemoryLayout<lbfgsd_torch_state>.size
            guard size == expected else {
                throw LibraryError(
                    LBFGSD_ERROR_SIZE, "state.size is \(size), not \(expected)")
            }
            unsafe read = state.pointee
        }
        if let engine = handle.float64 { try unsafe engine.load(read) }
        if let engine = handle.float32 { try unsafe engine.load(read) }
        return LBFGSD_OK
    }
}
