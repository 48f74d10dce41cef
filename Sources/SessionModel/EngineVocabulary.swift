// The engine's value types are part of this module's own vocabulary, so that the modules above
// never import the engine. The optimizer itself is not among them.
@_exported public import struct LBFGS.ActiveBound
@_exported public import struct LBFGS.BestEvaluation
@_exported public import enum LBFGS.HistoryDType
@_exported public import struct LBFGS.LineSearchFailure
@_exported public import enum LBFGS.Noise
@_exported public import enum LBFGS.OptionError
@_exported public import struct LBFGS.Options
@_exported public import enum LBFGS.ParameterValues
@_exported public import struct LBFGS.StepResult
@_exported public import enum LBFGS.StopReason
@_exported public import struct LBFGS.TorchState
