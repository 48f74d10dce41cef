internal import LBFGS

internal import struct Foundation.Date

extension HookTable {
    /// Checks that the pending call can be shown, answered and continued after.
    func validate(_ path: String) throws(UnreadableSnapshot) {
        try requireCount(made, path + ".made")
        try requireCount(callsMade, path + ".callsMade")
        for (index, hook) in (own + server).enumerated() {
            let list = index < own.count ? "own[\(index)]" : "server[\(index - own.count)]"
            try hook.validate("\(path).\(list)")
        }
        try call?.validate(path + ".call")
    }
}

extension Hook {
    fileprivate func validate(_ path: String) throws(UnreadableSnapshot) {
        try createdAt.validate(path + ".createdAt")
        guard case .intercept(let seconds, _) = action else { return }
        try require(
            seconds >= 0 && seconds <= Date.secondsMax, path + ".action.intercept.deadlineSeconds",
            "must be a time, not \(seconds)")
    }
}

extension HookCall {
    fileprivate func validate(_ path: String) throws(UnreadableSnapshot) {
        try requireCount(number, from: 1, path + ".number")
        try hook.validate(path + ".hook")
        try deadline.validate(path + ".deadline")
        for (index, hook) in rest.enumerated() {
            try hook.validate("\(path).rest[\(index)]")
            try require(
                hook.event == self.hook.event, "\(path).rest[\(index)].event",
                "must be \(self.hook.event.rawValue)")
        }
        try require(
            events.contains(hook.event), path + ".operation", "is not one of \(hook.event.rawValue)"
        )
        if case .beginStep(let options, let shards) = operation {
            do throws(OptionError) {
                try options.validate()
            } catch {
                throw UnreadableSnapshot(
                    field: "\(path).operation.beginStep.options.\(error.option)",
                    reason: error.reason)
            }
            try shards?.validateAsShardCount(path + ".operation.beginStep.shards")
        }
    }

    /// The events whose hooks delay the operation.
    private var events: [HookEvent] {
        switch operation {
        case .beginStep: [.stepPre]
        case .endStep: [.stepPost]
        case .readStateDict: [.stateDictPre, .stateDictPost]
        case .loadStateDict: [.loadStateDictPre, .loadStateDictPost]
        }
    }

    /// Whether it continues with something that is only possible between steps.
    var needsIdleEngine: Bool {
        switch operation {
        case .beginStep, .endStep, .loadStateDict: true
        case .readStateDict: false
        }
    }
}

extension Date {
    /// Ten thousand years.
    static let secondsMax = 3.2e11

    /// Times are written as years of four digits.
    func validate(_ field: @autoclosure () -> String) throws(UnreadableSnapshot) {
        let seconds = timeIntervalSince1970
        try require(
            seconds > -62_135_596_800 && seconds < 253_402_300_800, field(),
            "must be a time from the year 1 to 9999")
    }
}

extension Int {
    /// A session created with any limit on shards had no more.
    private static var shardCountMax: Int { 1 << 20 }

    func validateAsShardCount(_ field: @autoclosure () -> String) throws(UnreadableSnapshot) {
        try requireCount(self, from: 1, upTo: Self.shardCountMax, field())
    }
}
