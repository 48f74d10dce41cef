internal import Foundation
internal import Synchronization

/// Sends webhooks. Each call makes one attempt; `BackoffSchedule` decides on further ones.
///
/// An attempt is a signed POST over HTTP/1.1 on a connection of its own. The URL is checked against
/// the policy before the attempt, and the address before the connection. Proxies are not used,
/// redirects are not followed, and the response is read up to a limit. Attempts run on the threads
/// of a pool, because libcurl blocks.
public final class WebhookSender: Sendable {
    public struct Configuration: Sendable {
        public var targets: WebhookTargetPolicy
        /// The `User-Agent` of the server, e.g. `lbfgsd/1.2.3`. Printable ASCII.
        public var userAgent: String
        /// The time until the connection is established, including TLS.
        public var connectTimeoutSeconds = 5.0
        /// The time from the name's resolution to the end of the response. Standard Webhooks
        /// recommends 15 to 30 s.
        public var totalTimeoutSeconds = 15.0
        /// The limit on the response's header, and the same limit on its body. If the body exceeds
        /// it, the rest is not read and the status counts. If the header exceeds it, the attempt
        /// fails.
        public var responseBytesMax = 64 * 1024
        /// The number of concurrent attempts, and thus of threads.
        public var concurrentMax = 4
        /// The number of webhooks that may wait for a thread. `send` rejects further ones.
        public var waitingMax = 256
        /// A PEM file of certificate authorities to trust instead of the system's.
        public var certificateAuthoritiesPath: String?
        /// The clock for signatures, in Unix time.
        public var nowSeconds: @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }

        public init(targets: WebhookTargetPolicy, userAgent: String) {
            self.targets = targets
            self.userAgent = userAgent
        }
    }

    private let configuration: Configuration
    private let threads: BlockingThreadPool

    /// - Precondition: Limits and times are positive, and the user agent is printable ASCII.
    public init(configuration: Configuration) {
        precondition(configuration.userAgent.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        precondition(configuration.connectTimeoutSeconds > 0)
        precondition((0.001...3600).contains(configuration.totalTimeoutSeconds))
        precondition(configuration.responseBytesMax > 0 && configuration.waitingMax > 0)
        precondition(configuration.concurrentMax > 0)
        self.configuration = configuration
        threads = BlockingThreadPool(
            threadsMax: configuration.concurrentMax, waitingMax: configuration.waitingMax)
    }

    /// Makes one attempt. It returns within the total timeout, plus the time until a thread is
    /// free. If its task is cancelled, it returns within about a second.
    public func send(_ delivery: WebhookDelivery) async -> WebhookOutcome {
        let url: WebhookURL
        do throws(WebhookTargetError) {
            url = try configuration.targets.check(url: delivery.url)
        } catch {
            return .failed(.targetNotAllowed(error))
        }
        let job = SendJob { [configuration] isCancelled in
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
