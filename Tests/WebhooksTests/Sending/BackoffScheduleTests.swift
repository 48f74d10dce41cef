import Testing
import Webhooks

@Suite("Backoff schedule")
struct BackoffScheduleTests {
    private let schedule = BackoffSchedule()

    @Test("ten attempts over three days, then no more")
    func standard() {
        var now = 0.0
        var times: [Double] = []
        for attempt in 1... {
            times.append(now)
            // 0.5 is the middle of the jitter.
            let next = schedule.next(afterAttempt: attempt, .failed(.timedOut), random: 0.5)
            guard case .retry(let delay) = next else {
                #expect(next == .giveUp && attempt == 10)
                break
            }
            now += delay
        }
        // The specification's table: 00:00:05, 00:05:05, 00:35:05, ... 75:35:05.
        let table = [0, 5, 305, 2105, 9305, 27_305, 63_305, 113_705, 185_705, 272_105]
        #expect(times.map { Int($0.rounded()) } == table)
        #expect(BackoffSchedule.standardDelaysSeconds.reduce(0, +) == 272_105)
    }

    @Test("a delay varies randomly by up to a fifth")
    func jitter() {
        func delay(_ random: Double) -> Double {
            let outcome = WebhookOutcome.rejected(status: 500, retryAfterSeconds: nil)
            let next = schedule.next(afterAttempt: 2, outcome, random: random)
            if case .retry(let seconds) = next { return seconds }
            return .nan
        }
        #expect(abs(delay(0) - 240) < 1e-9 && abs(delay(0.75) - 330) < 1e-9)
        #expect(delay(1.0.nextDown) <= 360)
        let steady = BackoffSchedule(delaysSeconds: [0, 7], jitter: 0)
        #expect(
            steady.next(afterAttempt: 1, .failed(.timedOut), random: 0.9)
                == .retry(afterSeconds: 7))
    }

    @Test("Retry-After can lengthen a delay up to a limit, and never shortens it")
    func retryAfter() {
        func delay(_ seconds: Int?, attempt: Int = 2) -> BackoffSchedule.NextAction {
            let outcome = WebhookOutcome.rejected(status: 429, retryAfterSeconds: seconds)
            return schedule.next(afterAttempt: attempt, outcome, random: 0.5)
        }
        #expect(delay(1) == .retry(afterSeconds: 300))
        #expect(delay(4000) == .retry(afterSeconds: 4000))
        #expect(delay(.max) == .retry(afterSeconds: 86_400))
        #expect(delay(4000, attempt: 10) == .giveUp)
    }

    @Test("success finishes, 410 disables the webhook, other statuses are retried")
    func statuses() {
        #expect(schedule.next(afterAttempt: 1, .delivered(status: 204), random: 0) == .finish)
        #expect(schedule.next(afterAttempt: 10, .delivered(status: 204), random: 0) == .finish)
        let gone = WebhookOutcome.rejected(status: 410, retryAfterSeconds: 60)
        #expect(schedule.next(afterAttempt: 1, gone, random: 0) == .disable)
        for status in [301, 400, 401, 404, 429, 500, 502, 503, 504] {
            let outcome = WebhookOutcome.rejected(status: status, retryAfterSeconds: nil)
            #expect(
                schedule.next(afterAttempt: 1, outcome, random: 0.5) == .retry(afterSeconds: 5))
        }
    }

    @Test("a failure that the receiver did not cause does not use up an attempt")
    func repeated() {
        for failure in [WebhookFailure.cancelled, .overloaded] {
            for attempt in [1, 10] {
                #expect(
                    schedule.next(afterAttempt: attempt, .failed(failure), random: 0.5)
                        == .repeatAttempt(afterSeconds: 5))
            }
        }
    }
}
