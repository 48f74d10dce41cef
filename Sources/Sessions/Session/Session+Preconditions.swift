internal import struct Foundation.Date

// Conditions under which a change is refused.

extension Session {
    func check(_ precondition: Precondition) throws(SessionError) {
        switch precondition {
        case .none, .exists: return
        case .oneOf(let tags):
            guard tags.contains(turn.tag.text) else {
                throw .preconditionFailed(current: turn.tag)
            }
        }
    }

    func checkIdle() throws(SessionError) {
        try checkNoHookCalled()
        guard state.phase == .idle else { throw .stepRunning(state.scalars.step) }
    }

    func checkNoHookCalled() throws(SessionError) {
        guard let call = state.scalars.hooks.call else { return }
        let seconds = max(1, call.deadline.timeIntervalSince(now()).rounded(.up))
        throw .awaitingHook(call.number, retryAfterSeconds: Int(min(seconds, 3600)))
    }
}
