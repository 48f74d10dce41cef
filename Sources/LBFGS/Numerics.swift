/// The version of the engine's arithmetic. Two engines of the same version give the same bits for
/// the same events; whatever changes a bit raises it.
public let numericsVersion = 1
