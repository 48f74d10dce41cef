// The engine's value types (Options, StepResult, StopReason ...) are part of this module's own
// vocabulary: modules above import Sessions and never the engine.
@_exported public import LBFGS
