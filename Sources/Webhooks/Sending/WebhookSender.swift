internal import Foundation
internal import Synchronization

/// Sends webhooks, each once: when to try again is `BackoffSchedule`'s to say.
///
/// A request is a signed POST over HTTP/1.1 and a connection of its own. Its target is checked
/// against what is allowed, and again its address when the connection is made. It goes through no
/// proxy, follows no redirection, and reads no more of the answer than its limit. It runs on
/// threads of its own, since libcurl blocks; these end when nothing is left to send.
public final class WebhookSender: Sendable {
    /// Limits. The defaults are meant for all servers.
    public struct Configuration: Sendable {
        /// Where to send at all.
        public var targets: WebhookTargets
        /// Of the server, e.g. `lbfgsd/1.2.3`. Printable ASCII.
        public var userAgent: String
        /// Until there is a connection, TLS included.
        public var connectTimeoutSeconds = 5.0
        /// From the look-up of the name to the end of the answer. Standard Webhooks recommends 15
        /// to 30 s.
        public var totalTimeoutSeconds = 15.0
        /// Of the answer's header fields, and of its body. A longer body is cut off, and its
        /// status counts; longer header fields are no answer.
        public var responseBytesMax = 64 * 1024
        /// Requests at a time, and threads.
        public var concurrentMax = 4
        /// Webhooks that wait for a thread; `send` refuses more.
        public var waitingMax = 256
        /// A PEM file of the authorities to trust instead of the system's.
        public var certificateAuthoritiesPath: String?
        /// The clock of the signatures, in Unix time.
        public var nowSeconds: @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }

        public init(targets: WebhookTargets, userAgent: String) {
            self.targets = targets
            self.userAgent = userAgent
        }
    }

    private let configuration: Configuration
    private let threads: SendingThreads

    /// - Precondition: limits and times are above 0, and the user agent is printable ASCII.
    public init(configuration: Configuration) {
        precondition(configuration.userAgent.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        precondition(configuration.connectTimeoutSeconds > 0)
        precondition((0.001...3600).contains(configuration.totalTimeoutSeconds))
        precondition(configuration.responseBytesMax > 0 && configuration.waitingMax > 0)
        precondition(configuration.concurrentMax > 0)
        self.configuration = configuration
        threads = SendingThreads(
            countMax: configuration.concurrentMax, waitingMax: configuration.waitingMax)
    }

    /// Makes one attempt. Returns within the total timeout, plus the time until a thread is free.
    /// Cancelling the task ends it within a second or so.
    public func send(_ delivery: WebhookDelivery) async -> WebhookOutcome {
        let url: WebhookURL
        do throws(WebhookTargetError) {
            url = try configuration.targets.check(url: delivery.url)
        } catch {
            return .failed(.targetNotAllowed(error))
        }
        let job = SendingJob { [configuration] isCancelled in
            Transfer(url, delivery, configuration, isCancelled: isCancelled).run()
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                threads.submit(job, continuation)
            }
        } onCancel: {
            threads.cancel(job)
        }
    }
}
