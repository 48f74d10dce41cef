/// The version of the engine's arithmetic. Engines of the same version give the same bits for the
/// same events. Every change that alters a bit raises it.
///
/// An optimizer keeps the version that it was created with, in its snapshots too. A journal that an
/// older engine wrote is so replayed with that engine's bits.
///
/// 1. All directions are computed in coefficients. A start without a finite loss ends its step.
/// 2. Mode `torch` with few parameters computes in torch's own order of operations. Where a step
///    begins without a finite loss, mode `torch` goes on as torch does. Mode `robust` ends a step
///    that no longer makes progress.
/// 3. Where a step begins without a finite loss, mode `robust` goes on too.
///
/// Bounds and L1 terms came with version 4, which is otherwise version 3. An optimizer has it once
/// it has had either, see ``numericsVersionWithBounds``; others stay with 3, so that daemons which
/// know no bounds can read their snapshots.
public let numericsVersion = 3

/// The version of the arithmetic of optimizers with bounds or an L1 term: see ``numericsVersion``.
public let numericsVersionWithBounds = 4
