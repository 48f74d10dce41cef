// Pairs and Gram matrices of a bounded optimizer.

extension Optimizer {
    /// The base face is replaced where the present one differs from it in more than this share of
    /// the parameters. To move one costs O(m^2), and to compute the matrices O(m^2 n) at a lower
    /// price for each parameter.
    private static var baseShareMax: Int { 64 }

    /// Adds the last iteration's pair if its curvature is above the noise, and computes the dot
    /// products that the next direction needs. O(m n).
    mutating func addLastPairInBox() {
        let hasStep = !previousGradient.isEmpty && stepLength != 0
        let isPlain = face.heldCount == 0 && box.l1.isEmpty
        if !isPlain { rebaseIfNeeded() }
        guard hasStep else {
            if history.pairs.isEmpty { return }
            return isPlain
                ? history.computeDotProducts(with: gradient)
                : computeColumn(history.pairs.count - 1, withGradient: true)
        }
        let norms = stepNorms(direction, gradient, previousGradient)
        let curvatureMin =
            RobustConstants.curvatureFactor * epsilon * abs(stepLength) * norms.step
            * norms.gradient
        let wasAdded =
            isPlain && !face.needsGram
            ? addLastPair(curvatureMin: curvatureMin) : addPairOnFace(curvatureMin: curvatureMin)
        if wasAdded {
            carried.lastScale = history.initialScale
        } else if history.pairs.isEmpty {
            box.refusedStepNorm = abs(stepLength) * norms.step
        }
    }

    /// Replaces the base face if the present one differs from it by much.
    private mutating func rebaseIfNeeded() {
        let count = parameters.count
        if box.baseFace.count == count {
            face.differences = differences(face.status, box.baseFace)
            if face.differences.count <= count / Self.baseShareMax { return }
        }
        face.differences = []
        box.baseFace = face.status.map { $0 & 1 }
        face.gram.removeAll()
        face.baseCounts = []
    }

    private mutating func countBase() {
        guard face.baseCounts.isEmpty else { return }
        face.baseCounts = (0..<blockCount(parameters.count)).map { block in
            let first = block * blockLength
            let end = min(first + blockLength, parameters.count)
            return box.baseFace[first..<end].count { $0 != 0 }
        }
    }

    /// As `addLastPair`, with the Gram matrices' column where they have those of the other pairs.
    private mutating func addPairOnFace(curvatureMin: Double) -> Bool {
        let options = progress.options
        let dropped = max(0, history.pairs.count - options.historySize + 1)
        face.gram.keep(history.pairs[...])
        let hasBase = box.baseFace.count == parameters.count
        let wantsGram =
            hasBase && face.needsGram && face.gram.count == history.pairs.count
        if wantsGram { countBase() }
        let step = CurvatureStep(
            previousGradient: previousGradient, direction: direction, stepLength: stepLength,
            dtype: options.historyDType ?? Scalar.historyDType)
        let effective = box.l1.isEmpty ? gradient : face.pseudoGradient
        let (status, base, counts) = (face.status, box.baseFace, face.baseCounts)
        let executor = self.executor
        let wasAdded = history.add(step, dropping: dropped, curvatureMin: curvatureMin) {
            (storage: inout PairStorage, column: Int, workspace: inout Workspace) in
            LBFGS.computeFaceDotProducts(
                FaceColumn(
                    index: column, step: step, gradient: effective, wantsGram: wantsGram),
                gradient: gradient, writing: &storage, status: status, face: base,
                faceCounts: counts, &workspace, on: executor)
        }
        if wasAdded, wantsGram {
            let pairs = history.pairs
            face.gram.keep(pairs.dropLast())
            face.gram.append(
                pairs[pairs.count - 1].number, history.workspace.dots,
                freeStart: 4 * pairs.count, heldStart: 8 * pairs.count)
        }
        if !wasAdded, !history.pairs.isEmpty, dropped > 0 {
            computeColumn(history.pairs.count - 1, withGradient: true)
        }
        return wasAdded
    }

    /// Computes the products of a pair of the history with those before it, in the workspace.
    private mutating func computeColumn(_ index: Int, withGradient: Bool) {
        var none = PairStorage([])
        history.workspace.setTable(history.pairs[...])
        if !withGradient { countBase() }
        let effective = box.l1.isEmpty ? gradient : face.pseudoGradient
        LBFGS.computeFaceDotProducts(
            FaceColumn(
                index: index, step: nil, gradient: withGradient ? effective : nil,
                wantsGram: !withGradient),
            gradient: gradient, writing: &none, status: face.status, face: box.baseFace,
            faceCounts: face.baseCounts, &history.workspace, on: executor)
    }

    /// Sets `face.current` to the Gram matrices of the present face.
    mutating func prepareGram() {
        rebaseIfNeeded()
        face.needsGram = true
        face.gram.keep(history.pairs[...])
        while face.gram.count < history.pairs.count {
            let index = face.gram.count
            computeColumn(index, withGradient: false)
            face.gram.append(
                history.pairs[index].number, history.workspace.dots,
                freeStart: 4 * (index + 1), heldStart: 8 * (index + 1))
        }
        face.current = face.gram
        history.workspace.setTable(history.pairs[...])
        if face.differences.isEmpty { return }
        var row = [Double](repeating: 0, count: 2 * history.pairs.count)
        for index in face.differences {
            history.readRow(index, into: &row)
            face.current.move(row, isHeld: face.status[index] != FaceStatus.free)
        }
    }

    /// The norms of a step and, over the parameters that it moves, of the larger gradient at its
    /// ends. Others add no rounding error to y.s. O(n).
    private func stepNorms(
        _ step: [Scalar], _ gradient: [Scalar], _ previous: [Scalar]
    ) -> (step: Double, gradient: Double) {
        let squares = stepSquares(step, gradient, previous)
        return (squares.step.squareRoot(), max(squares.gradient, squares.previous).squareRoot())
    }
}

extension FaceGram {
    /// - Parameter row: The parameter's number in each s, then in each y.
    package mutating func move(_ row: [Double], isHeld: Bool) {
        precondition(row.count == 2 * count)
        // Sound: the row has 2 `count` numbers.
        unsafe row.withUnsafeBufferPointer { row in
            guard let row = row.baseAddress else { return }
            unsafe move(s: row, y: row + count, isHeld: isHeld)
        }
    }
}

extension CurvatureHistory {
    /// Reads a parameter's number in each s, then in each y. O(m).
    /// - Precondition: The workspace's table holds all pairs.
    func readRow(_ index: Int, into row: inout [Double]) {
        let count = pairs.count
        precondition(row.count == 2 * count && workspace.pairCount == count)
        for pair in 0..<count {
            let address = workspace.table[pair]
            precondition(index < pairs[pair].count)
            // Sound: the pair has more numbers than `index`, and stays in place.
            switch address.dtype {
            case .float64:
                row[pair] = unsafe Double.one(address.stepPointer, index)
                row[count + pair] = unsafe Double.one(address.changePointer, index)
            case .float32:
                row[pair] = unsafe Float.one(address.stepPointer, index)
                row[count + pair] = unsafe Float.one(address.changePointer, index)
            case .bfloat16:
                row[pair] = unsafe BFloat16.one(address.stepPointer, index)
                row[count + pair] = unsafe BFloat16.one(address.changePointer, index)
            }
        }
    }

    /// Forms a step's pair and adds it if y.s > `curvatureMin`, with dot products that `compute`
    /// leaves in the workspace. The table then holds the pairs that are kept and the new one, whose
    /// index is passed on.
    mutating func add(
        _ step: CurvatureStep<Scalar>, dropping dropped: Int, curvatureMin: Double,
        _ compute: (inout PairStorage, Int, inout Workspace) -> Void
    ) -> Bool {
        var storage = takeStorage(step)
        workspace.setTable(pairs[dropped...])
        let column = workspace.pairCount
        while workspace.table.count <= column { workspace.table.append(PairAddress()) }
        let s = unsafe storage.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
        workspace.table[column] = PairAddress(
            s: s, y: s + UInt(storage.count / 2), dtype: step.dtype)
        compute(&storage, column, &workspace)
        if append(&storage, step.dtype, dropping: dropped, curvatureMin) { return true }
        swap(&storage, &workspace.spareStorage)
        return false
    }

    /// Computes the weights of -H g from the dot products in the workspace.
    mutating func computeWeights(alphas: inout [Double]?) {
        workspace.setTable(pairs[...])
        var own = alphas ?? []
        alphas = nil
        if own.count > pairs.count { own.removeLast(own.count - pairs.count) }
        own.grow(to: pairs.count)
        workspace.computeWeights(gamma: initialScale, alphas: &own)
        alphas = own
    }
}
