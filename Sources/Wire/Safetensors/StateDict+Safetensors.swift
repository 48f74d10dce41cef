public import SessionModel

// torch's state dict as a safetensors file. torch's tensors are named by their path, `state.0.d`
// and `state.0.old_dirs.3`; the metadata string `state_dict` is the JSON of the rest, as
// `StateDict.json` writes it. To rebuild the dict a torch user splits the names at the dots.
// Vectors have the session's dtype, numbers are Float64 as they are in the engine, and nothing is
// rounded.

extension StateDict {
    private static let metadataKey = "state_dict"

    /// The limit on the header of a state dict, larger than that of other files: the four tensors
    /// of a pair take some 300 bytes, and the header also has the names of all parameters. Every
    /// file that is written here can be read again.
    public static let headerBytesMax = 16 << 20

    /// - Precondition: the vectors have the precision of `dtype`.
    public var safetensors: [UInt8] {
        var rest = self
        var tensors: [Safetensors.Tensor] = []
        if let state {
            rest.state = state.withoutTensors
            tensors = state.tensors(as: dtype ?? .float64)
        }
        let text = String(decoding: rest.json, as: UTF8.self)
        return Safetensors(tensors: tensors, metadata: [Self.metadataKey: text]).bytes
    }

    /// Accepts `t`, `prev_loss` and the learning rate as tensors too, as torch may keep them.
    /// `dtype` is set when the vectors are Float64 and would lose digits in Float32; otherwise they
    /// fit a session of either precision.
    public init(
        safetensors bytes: [UInt8], headerBytesMax: Int = StateDict.headerBytesMax
    ) throws(WireError) {
        let file = try Safetensors(bytes: bytes, headerBytesMax: headerBytesMax)
        let field = "\(Safetensors.metadataKey).\(Self.metadataKey)"
        guard let text = file.metadata[Self.metadataKey] else {
            throw .invalid(field, "is required: the JSON of what is no tensor")
        }
        do {
            try self.init(json: Array(text.utf8))
        } catch .malformed(let reason) {
            throw .invalid(field, "is not JSON: \(reason)")
        } catch {
            throw error
        }
        var lists = TensorLists()
        for tensor in file.tensors { try take(tensor, &lists) }
        try state?.take(lists)
        dtype = state.map { $0.isRounded(to: .float32) } == true ? .float64 : nil
    }

    private mutating func take(
        _ tensor: Safetensors.Tensor, _ lists: inout TensorLists
    ) throws(WireError) {
        let parts = tensor.name.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 3, parts[0] == "param_groups", parts[2] == "lr" {
            guard let group = listIndex(parts[1]), group < groups.count else {
                throw tensor.isNotKnown
            }
            return try take(rate: tensor)
        }
        guard tensor.name.hasPrefix(TorchState<Double>.place) else { throw tensor.isNotKnown }
        guard state != nil else {
            throw .invalid(tensor.name, "has a place only beside func_evals and n_iter")
        }
        switch tensor.name.dropFirst(TorchState<Double>.place.count) {
        case "d": try tensor.set(&state!.d, tensor.vector())
        case "t": try tensor.set(&state!.t, tensor.scalar())
        case "H_diag": try tensor.set(&state!.hDiag, tensor.scalar())
        case "prev_flat_grad": try tensor.set(&state!.prevFlatGrad, tensor.vector())
        case "prev_loss": try tensor.set(&state!.prevLoss, tensor.scalar())
        case let element: try lists.append(tensor, as: element)
        }
    }

    private mutating func take(rate tensor: Safetensors.Tensor) throws(WireError) {
        let rate = try tensor.scalar()
        if let given = options.lr, given != rate {
            throw .invalid(
                tensor.name, "differs from others: options are the same for all groups")
        }
        options.lr = rate
    }
}

/// An index in decimal without leading zeros.
private func listIndex(_ text: Substring) -> Int? {
    guard let index = Int(text), index >= 0, String(index) == text else { return nil }
    return index
}

extension TorchState<Double> {
    fileprivate static var place: String { "state.0." }

    fileprivate func tensors(as dtype: DType) -> [Safetensors.Tensor] {
        var tensors: [Safetensors.Tensor] = []
        func add(_ key: String, vector: [Double]?) {
            guard let vector else { return }
            tensors.append(.init(name: Self.place + key, vector: vector, as: dtype))
        }
        func add(_ key: String, scalar: Double?) {
            guard let scalar else { return }
            tensors.append(.init(name: Self.place + key, scalar: scalar))
        }
        add("d", vector: d)
        add("prev_flat_grad", vector: prevFlatGrad)
        add("H_diag", scalar: hDiag)
        for (index, y) in (oldDirs ?? []).enumerated() { add("old_dirs.\(index)", vector: y) }
        for (index, s) in (oldStps ?? []).enumerated() { add("old_stps.\(index)", vector: s) }
        for (index, number) in (ro ?? []).enumerated() { add("ro.\(index)", scalar: number) }
        for (index, alpha) in (al ?? []).enumerated() { add("al.\(index)", scalar: alpha) }
        return tensors
    }

    /// The rest, which is written as JSON. Empty lists stay in it, since no tensor represents them,
    /// and so do the places of the alphas, not all of which are used.
    fileprivate var withoutTensors: TorchState {
        var rest = TorchState(funcEvals: funcEvals, nIter: nIter, t: t, prevLoss: prevLoss)
        if oldDirs == [] { rest.oldDirs = [] }
        if oldStps == [] { rest.oldStps = [] }
        if ro == [] { rest.ro = [] }
        rest.al = al.map { [Double?](repeating: nil, count: $0.count) }
        return rest
    }

    /// Whether a vector has numbers that aren't exact in this precision.
    fileprivate func isRounded(to dtype: DType) -> Bool {
        let vectors = [d ?? [], prevFlatGrad ?? []] + (oldDirs ?? []) + (oldStps ?? [])
        return vectors.contains { vector in
            zip(vector, Vector(vector, as: dtype).doubles).contains { $0 != $1 && !$0.isNaN }
        }
    }

    fileprivate mutating func take(_ lists: TensorLists) throws(WireError) {
        try lists.fill(&oldDirs, "old_dirs") { tensor throws(WireError) in try tensor.vector() }
        try lists.fill(&oldStps, "old_stps") { tensor throws(WireError) in try tensor.vector() }
        try lists.fill(&ro, "ro") { tensor throws(WireError) in try tensor.scalar() }
        guard var places = al else {
            var alphas: [Double]?
            try lists.fill(&alphas, "al") { tensor throws(WireError) in try tensor.scalar() }
            al = alphas
            return
        }
        for (index, tensor) in lists.elements("al") {
            guard index < places.count else {
                throw .invalid(tensor.name, "has no place among the \(places.count) of al")
            }
            try tensor.set(&places[index], tensor.scalar())
        }
        al = places
    }
}

/// The tensors that are elements of lists, by list and index.
private struct TensorLists {
    private var lists: [String: [Int: Safetensors.Tensor]] = [
        "old_dirs": [:], "old_stps": [:], "ro": [:], "al": [:],
    ]

    /// - Parameter element: e.g. `old_dirs.3`
    mutating func append(
        _ tensor: Safetensors.Tensor, as element: Substring
    ) throws(WireError) {
        let parts = element.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = listIndex(parts[1]), lists[String(parts[0])] != nil
        else { throw tensor.isNotKnown }
        lists[String(parts[0])]?[index] = tensor
    }

    func elements(_ key: String) -> [(index: Int, tensor: Safetensors.Tensor)] {
        (lists[key] ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Sets a list to the tensors of its elements.
    func fill<Element>(
        _ list: inout [Element]?, _ key: String,
        _ read: (Safetensors.Tensor) throws(WireError) -> Element
    ) throws(WireError) {
        let elements = elements(key)
        guard !elements.isEmpty else { return }
        guard list == nil else {
            throw .invalid(elements[0].tensor.name, "is given by state_dict too")
        }
        var filled: [Element] = []
        for (index, tensor) in elements {
            guard index == filled.count else {
                throw .invalid(
                    "\(TorchState<Double>.place)\(key).\(filled.count)",
                    "is missing, and there is \(tensor.name)")
            }
            filled.append(try read(tensor))
        }
        list = filled
    }
}

extension Safetensors.Tensor {
    fileprivate var isNotKnown: WireError { .invalid(name, "is not known") }

    fileprivate func set<Value>(_ place: inout Value?, _ value: Value) throws(WireError) {
        guard place == nil else { throw .invalid(name, "is given by state_dict too") }
        place = value
    }

    fileprivate func vector() throws(WireError) -> [Double] {
        guard shape.count == 1 else {
            throw .invalid(name, "must have one dimension, not the shape \(shape)")
        }
        return doubles
    }

    fileprivate func scalar() throws(WireError) -> Double {
        guard shape.allSatisfy({ $0 == 1 }) else {
            throw .invalid(name, "must be one number, not of the shape \(shape)")
        }
        return doubles[0]
    }
}
