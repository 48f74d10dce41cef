// The trace of a session: as it is stored, of one iteration, or decimated.

extension SessionService {
    /// Trials of one search, about. A page of a trace reads so many more than it shows, to know
    /// which of its last ones was accepted.
    private static let trialsAhead = 64
    private static let pageSize = 10_000

    /// Points of the trace from evaluation `first` on, in order.
    public func trace(
        _ id: SessionID, from first: EvaluationNumber = 1, limit: Int
    ) async throws(SessionError) -> [TracePoint] {
        let ahead = limit <= .max - Self.trialsAhead ? limit + Self.trialsAhead : limit
        var points = try await read(id) { store throws(StoreError) in
            try await store.trace(id, from: first, limit: ahead)
        }
        points.markAccepted()
        return Array(points.prefix(limit))
    }

    /// The points of one iteration.
    /// - Parameter step: The iteration's step; nil for the newest with an iteration of this number.
    public func trace(
        _ id: SessionID, iteration: Int, step: StepNumber?
    ) async throws(SessionError) -> [TracePoint] {
        var points: [TracePoint] = []
        try await forEachPage(of: id) { page in
            for point in page where point.iteration == iteration {
                if let step, point.step != step { continue }
                if point.step != points.last?.step { points = [] }
                points.append(point)
            }
        }
        return points
    }

    /// At most `count` points that show the course of the whole trace.
    public func decimatedTrace(
        _ id: SessionID, to count: Int
    ) async throws(SessionError) -> DecimatedTrace {
        let asked = try await read(id) { store throws(StoreError) in
            try await store.summary(id).status.evaluation
        }
        var trace = DecimatedTrace(through: asked, count: count)
        try await forEachPage(of: id) { trace.add($0) }
        trace.finish()
        return trace
    }

    /// Passes on the whole trace, without holding more of it than a page.
    private func forEachPage(
        of id: SessionID, _ body: ([TracePoint]) -> Void
    ) async throws(SessionError) {
        var next = 1
        while true {
            let page = try await trace(id, from: next, limit: Self.pageSize)
            body(page)
            guard page.count == Self.pageSize, let last = page.last else { return }
            next = last.evaluation + 1
        }
    }
}

extension [TracePoint] {
    /// Says of each point whether its iteration moved to it, as far as the answer that ended the
    /// iteration's search is among the points.
    package mutating func markAccepted() {
        var accepted: Double?
        for index in indices.reversed() {
            let isOther =
                index + 1 == endIndex || self[index + 1].step != self[index].step
                || self[index + 1].iteration != self[index].iteration
            if isOther { accepted = nil }
            accepted = self[index].search?.acceptedStepLength ?? accepted
            self[index].isAccepted = accepted.map { $0 == self[index].stepLength }
        }
    }
}

/// A trace in fewer points: of each of equal ranges of evaluations the least and the greatest loss.
public struct DecimatedTrace: Equatable, Sendable {
    /// Evaluations of one range without a finite loss.
    public struct Failures: Equatable, Sendable {
        public var first: EvaluationNumber
        public var last: EvaluationNumber
        public var count: Int

        package init(first: EvaluationNumber, last: EvaluationNumber, count: Int) {
            self.first = first
            self.last = last
            self.count = count
        }
    }

    /// The points of the range that is being read.
    private struct Range: Equatable {
        var number: Int
        var first: EvaluationNumber
        var last: EvaluationNumber
        var least: TracePoint?
        var greatest: TracePoint?
        var failed = 0

        init(_ number: Int, beginningAt evaluation: EvaluationNumber) {
            self.number = number
            (first, last) = (evaluation, evaluation)
        }

        mutating func add(_ point: TracePoint) {
            last = point.evaluation
            guard let loss = point.loss, loss.isFinite else {
                failed += 1
                return
            }
            if least?.loss.map({ loss < $0 }) ?? true { least = point }
            if greatest?.loss.map({ loss > $0 }) ?? true { greatest = point }
        }

        /// In order, each once.
        var extremes: [TracePoint] {
            guard let least, let greatest else { return [] }
            if least.evaluation == greatest.evaluation { return [least] }
            return least.evaluation < greatest.evaluation ? [least, greatest] : [greatest, least]
        }
    }

    /// In order of evaluation.
    public private(set) var points: [TracePoint] = []
    /// How many points the trace has.
    public private(set) var entries = 0
    /// Of the ranges that have any, in order. Their points are not among `points`, unless the trace
    /// has no more than were asked for.
    public private(set) var failures: [Failures] = []

    private let last: EvaluationNumber
    private let count: Int
    private var first: EvaluationNumber?
    private var range: Range?
    /// The whole trace, as long as it has no more points than are wanted.
    private var whole: [TracePoint]? = []

    /// - Parameters:
    ///   - last: The last evaluation that the trace may have.
    ///   - count: The most points that are wanted, at least 2.
    package init(through last: EvaluationNumber, count: Int) {
        self.last = last
        self.count = count
    }

    /// Adds points that follow those that were added, in order.
    package mutating func add(_ page: [TracePoint]) {
        entries += page.count
        whole = entries <= count ? whole.map { $0 + page } : nil
        for point in page {
            let first = first ?? point.evaluation
            self.first = first
            // Later ones may have been told meanwhile.
            let span = max(last, first) - first + 1
            let number = min(point.evaluation - first, span - 1) * (count / 2) / span
            if number != range?.number {
                endRange()
                range = Range(number, beginningAt: point.evaluation)
            }
            range?.add(point)
        }
    }

    /// All points have been added.
    package mutating func finish() {
        endRange()
        if let whole { points = whole }
        whole = nil
    }

    private mutating func endRange() {
        guard let range else { return }
        points += range.extremes
        if range.failed > 0 {
            failures.append(
                Failures(first: range.first, last: range.last, count: range.failed))
        }
        self.range = nil
    }
}
