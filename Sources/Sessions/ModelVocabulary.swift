// Modules above the session actor see the model through this module.
@_exported public import SessionModel
