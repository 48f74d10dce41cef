internal import Foundation
internal import Sessions
internal import Telemetry
internal import Webhooks

/// Takes messages from the outbox, which is on disk, and sends them until they arrive or are given
/// up. A message that was being sent when the process ended is sent again: a receiver recognises
/// the repetition by its `webhook-id`.
actor WebhookDispatcher {
    private static let pollSeconds = 5.0
    private static let batchMax = 64

    private let store: any Store
    private let service: SessionService
    private let sender: WebhookSender
    private let schedule = BackoffSchedule()
    private let log: Logger
    private let delivered: Counter
    private let failed: Counter
    private var underWay: Set<DeliveryID> = []

    init(
        store: any Store, service: SessionService, targets: WebhookTargetPolicy,
        registry: MetricsRegistry, log: Logger
    ) {
        self.store = store
        self.service = service
        self.log = log
        sender = WebhookSender(
            configuration: .init(targets: targets, userAgent: "lbfgsd/\(Version.current)"))
        delivered = registry.counter(
            "lbfgsd_webhooks_delivered_total", help: "Messages that webhooks have taken.")
        failed = registry.counter(
            "lbfgsd_webhook_attempts_failed_total", help: "Attempts that no webhook has taken.")
    }

    /// Runs until its task is cancelled. `wakes` yields when there may be something to send.
    func run(wakes: AsyncStream<Void>) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in wakes { await self.sendDue() }
            }
            group.addTask {
                while !Task.isCancelled {
                    await self.sendDue()
                    try? await Task.sleep(for: .seconds(WebhookDispatcher.pollSeconds))
                }
            }
        }
    }

    private func sendDue() async {
        guard let due = try? await store.dueDeliveries(at: Date(), limit: Self.batchMax) else {
            return
        }
        let fresh = due.filter { underWay.insert($0.id).inserted }
        await withTaskGroup(of: Void.self) { group in
            for record in fresh { group.addTask { await self.send(record) } }
        }
    }

    private func send(_ record: DeliveryRecord) async {
        defer { underWay.remove(record.id) }
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
