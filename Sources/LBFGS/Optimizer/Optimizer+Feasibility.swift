// Where a loss that isn't finite is no end.

extension Optimizer {
    /// Whether an evaluation with a finite gradient and this loss, which isn't finite, is a point
    /// to go on from.
    ///
    /// Where a step begins without a finite loss there is no finite point to stay at, and the
    /// gradient says which way is down: torch goes on by the gradients alone, and so does either
    /// mode. On its way a loss may be infinite, which is one too large for the precision that it
    /// was worked out in. A loss that isn't a number is never moved to, and once a loss is finite,
    /// one that isn't is infeasible as everywhere. From -infinity there is no way down.
    func goesOn(from loss: Double) -> Bool {
        let since =
            switch progress.options.mode {
            case .torch: 2
            case .robust: 3
            }
        guard numerics >= since, loss != -.infinity else { return false }
        return switch phase {
        case .opening: true
        case .moving, .searching, .probing: loss == .infinity && self.loss?.isFinite == false
        case .idle: false
        }
    }
}
