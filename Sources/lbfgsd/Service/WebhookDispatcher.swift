internal import Foundation
internal import Sessions
internal import Telemetry
internal import Webhooks

/// Takes messages from the outbox, which is on disk, and sends them until they arrive or are given
/// up. A message that was being sent when the process ended is sent again: a receiver recognises
/// the repetition by its `webhook-id`.
///
/// An attempt takes as long as the receiver likes, up to a timeout. So that slow receivers do not
/// delay the others' messages, the attempts to one host and those of one session are few of all
/// that run at a time, and messages that would exceed either are passed over.
actor WebhookDispatcher {
    private static let pollSeconds = 5.0
    private static let attemptsMax = 32
    private static let attemptsPerHostMax = 4
    private static let attemptsPerSessionMax = 8
    /// Due messages that are read at a time, and how many times in one round. A round begins where
    /// the last one ended, so that every message has its turn, however many are passed over.
    private static let windowSize = 128
    private static let windowsMax = 8

    private let store: any Store
    private let service: SessionService
    private let sender: WebhookSender
    private let schedule = BackoffSchedule()
    private let log: Logger
    private let delivered: Counter
    private let failed: Counter
    private var underWay: [DeliveryID: DeliveryRecord] = [:]
    private var attemptsByHost: [String: Int] = [:]
    private var attemptsBySession: [SessionID: Int] = [:]
    /// Messages that were settled while a window was being read, which may still show them as due.
    private var settled: Set<DeliveryID> = []
    private var windowStart = 0

    init(
        store: any Store, service: SessionService, targets: WebhookTargetPolicy,
        registry: MetricsRegistry, log: Logger
    ) {
        self.store = store
        self.service = service
        self.log = log
        var configuration = WebhookSender.Configuration(
            targets: targets, userAgent: "lbfgsd/\(Version.current)")
        configuration.concurrentMax = Self.attemptsMax
        sender = WebhookSender(configuration: configuration)
        delivered = registry.counter(
            "lbfgsd_webhooks_delivered_total", help: "Messages that webhooks have taken.")
        failed = registry.counter(
            "lbfgsd_webhook_attempts_failed_total", help: "Attempts that no webhook has taken.")
    }

    /// Runs until its task is cancelled. `wakes` yields when there may be something to send.
    func run(wakes: AsyncStream<Void>) async {
        let (rounds, round) = AsyncStream.makeStream(
            of: Void.self, bufferingPolicy: .bufferingNewest(1))
        await withDiscardingTaskGroup { group in
            group.addTask { for await _ in wakes { round.yield() } }
            group.addTask {
                while !Task.isCancelled {
                    round.yield()
                    try? await Task.sleep(for: .seconds(WebhookDispatcher.pollSeconds))
                }
            }
            for await _ in rounds {
                for record in await claimDue() {
                    group.addTask {
                        await self.send(record)
                        round.yield()
                    }
                }
            }
        }
    }

    /// Due messages that may be sent now.
    private func claimDue() async -> [DeliveryRecord] {
        var claimed: [DeliveryRecord] = []
        // Another store may have the messages: they are this one's no more, or not yet for sure.
        if (store as? any ReplicationSource)?.writeRefusal != nil { return [] }
        let now = Date()
        for _ in 0..<Self.windowsMax where underWay.count < Self.attemptsMax {
            settled = []
            guard
                let due = try? await store.dueDeliveries(
                    at: now, limit: Self.windowSize, skipping: windowStart)
            else { break }
            claimed += due.filter { claim($0) }
            guard due.count == Self.windowSize else {
                let hasBegunInside = windowStart > 0
                windowStart = 0
                if hasBegunInside { continue }
                break
            }
            windowStart += Self.windowSize
        }
        return claimed
    }

    private func claim(_ record: DeliveryRecord) -> Bool {
        let host = Self.host(of: record)
        guard underWay.count < Self.attemptsMax, underWay[record.id] == nil,
            !settled.contains(record.id),
            attemptsByHost[host, default: 0] < Self.attemptsPerHostMax,
            attemptsBySession[record.session, default: 0] < Self.attemptsPerSessionMax
        else { return false }
        underWay[record.id] = record
        attemptsByHost[host, default: 0] += 1
        attemptsBySession[record.session, default: 0] += 1
        return true
    }

    private func settle(_ record: DeliveryRecord) {
        settled.insert(record.id)
        underWay[record.id] = nil
        let host = Self.host(of: record)
        attemptsByHost[host] = attemptsByHost[host].flatMap { $0 > 1 ? $0 - 1 : nil }
        attemptsBySession[record.session] = attemptsBySession[record.session].flatMap {
            $0 > 1 ? $0 - 1 : nil
        }
    }

    /// The host and port that the message goes to; the whole URL if it has none, which the sender
    /// then refuses.
    private static func host(of record: DeliveryRecord) -> String {
        guard let url = URLComponents(string: record.url), let host = url.host else {
            return record.url
        }
        return "\(host.lowercased()):\(url.port.map(String.init) ?? url.scheme ?? "")"
    }

    private func send(_ record: DeliveryRecord) async {
        defer { settle(record) }
        let outcome: WebhookOutcome
        if let secret = try? WebhookSecret(text: record.secret) {
            outcome = await sender.send(
                WebhookDelivery(
                    url: record.url, id: record.id, body: record.body, secrets: [secret]))
        } else {
            outcome = .failed(.transport("its secret can't be read"))
        }
        if Task.isCancelled { return }
        await recordAttempt(record, outcome)
    }

    private func recordAttempt(_ record: DeliveryRecord, _ outcome: WebhookOutcome) async {
        var record = record
        let time = Date()
        record.attempts += 1
        record.lastAttemptAt = time
        record.lastOutcome = outcome.text
        let next = schedule.next(
            afterAttempt: record.attempts, outcome, random: Double.random(in: 0..<1))
        record.nextAttemptAt = nil
        switch next {
        case .finish:
            record.status = .delivered
            delivered.increment()
        case .retry(let seconds):
            record.nextAttemptAt = time.addingTimeInterval(seconds)
        case .repeatAttempt(let seconds):
            record.attempts -= 1
            record.nextAttemptAt = time.addingTimeInterval(seconds)
        case .giveUp, .disable:
            record.status = .failed
        }
        if next != .finish {
            failed.increment()
            log.warning(
                "webhook delivery failed",
                metadata: [
                    "session": "\(record.session)", "hook": "\(record.hook)",
                    "message": "\(record.id)", "outcome": "\(outcome.text)",
                ])
        }
        do throws(StoreError) {
            try await store.update(record)
        } catch {
            log.error(
                "cannot store the outcome of a webhook delivery", metadata: ["error": "\(error)"])
        }
        if next == .disable {
            // 410: the receiver wants no more of them. The operator's hooks are the operator's.
            try? await service.withSession(record.session) {
                try await $0.removeHook(record.hook)
            }
        }
    }
}

extension WebhookOutcome {
    fileprivate var text: String {
        switch self {
        case .delivered(let status), .rejected(let status, _): "HTTP \(status)"
        case .failed(let failure): "\(failure)"
        }
    }
}
