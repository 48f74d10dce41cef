internal import struct Foundation.Data

/// A state dict on disk, while a hook's call is about it. Vectors are bytes, for their size.
struct StoredStateDict: Codable {
    private struct Group: Codable {
        var params: [Int]
        var paramNames: [String]?
        var name: String?
        var isFrozen: Bool?
    }

    private struct State: Codable {
        var funcEvals: Int
        var nIter: Int
        var d: Data?
        var t: Double?
        var oldDirs: [Data]?
        var oldStps: [Data]?
        var ro: [Double]?
        var hDiag: Double?
        var prevFlatGrad: Data?
        var prevLoss: Double?
        var al: [Double]?
        /// Entries of torch's `al` behind those that are set.
        var alPadding: Int
    }

    private var dtype: DType?
    private var state: State?
    private var options: Options
    private var groups: [Group]

    /// - Precondition: all options are given.
    init(_ dict: StateDict) {
        dtype = dict.dtype
        options = dict.fullOptions(over: Options())
        groups = dict.groups.map {
            Group(
                params: $0.params, paramNames: $0.paramNames, name: $0.name,
                isFrozen: $0.isFrozen)
        }
        state = dict.state.map { state in
            let alphas = state.al?.compactMap { $0 }
            return State(
                funcEvals: state.funcEvals, nIter: state.nIter, d: state.d.map(data),
                t: state.t, oldDirs: state.oldDirs?.map(data),
                oldStps: state.oldStps?.map(data), ro: state.ro, hDiag: state.hDiag,
                prevFlatGrad: state.prevFlatGrad.map(data), prevLoss: state.prevLoss,
                al: alphas, alPadding: (state.al?.count ?? 0) - (alphas?.count ?? 0))
        }
    }

    /// More entries of torch's `al` than any `history_size` has.
    private static let alPaddingMax = 1 << 24

    /// Checks what `dict` makes memory of.
    func validate() throws(UnreadableSnapshot) {
        try requireCount(
            state?.alPadding ?? 0, upTo: Self.alPaddingMax, "hooked_dict.state.alPadding")
    }

    var dict: StateDict {
        StateDict(
            dtype: dtype,
            state: state.map { state in
                TorchState(
                    funcEvals: state.funcEvals, nIter: state.nIter, d: state.d.map(numbers),
                    t: state.t, oldDirs: state.oldDirs?.map(numbers),
                    oldStps: state.oldStps?.map(numbers), ro: state.ro, hDiag: state.hDiag,
                    prevFlatGrad: state.prevFlatGrad.map(numbers), prevLoss: state.prevLoss,
                    al: state.al.map {
                        $0 + [Double?](repeating: nil, count: state.alPadding)
                    })
            },
            options: OptionsPatch(torch: options),
            groups: groups.map {
                StateDict.Group(
                    params: $0.params, paramNames: $0.paramNames, name: $0.name,
                    isFrozen: $0.isFrozen)
            })
    }
}

private func data(_ numbers: [Double]) -> Data { Data(littleEndianBytes(numbers)) }

private func numbers(_ data: Data) -> [Double] { values(fromLittleEndianBytes: Array(data)) }
