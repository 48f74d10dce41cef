/// The version of the engine's arithmetic. Two engines of the same version give the same bits for
/// the same events; whatever changes a bit raises it.
///
/// An optimizer keeps the version that it began with, in its snapshots too: a journal that an older
/// engine wrote is replayed with that engine's bits.
///
/// 1. Every direction in coefficients; a start without a finite loss ends its step.
/// 2. Mode `torch` with few parameters in torch's own order (`TorchOrder`); where a step begins
///    without a finite loss it goes on as torch does. Mode `robust` ends where it stands still.
/// 3. Mode `robust` too goes on where a step begins without a finite loss.
public let numericsVersion = 3
