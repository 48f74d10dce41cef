internal import Foundation
internal import Glibc

/// The service manager's side of the process: readiness, the watchdog and inherited sockets, as
/// sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3) describe them. Nothing here needs
/// libsystemd; run by hand, all of it is absent.
struct ServiceManager: Sendable {
    /// The watchdog's interval; nil when there is no watchdog.
    let watchdogSeconds: Double?
    /// Sockets that the service manager passed, from descriptor 3 on.
    let inherited: [Int32]

    private let notifySocket: String?

    private static let firstDescriptor: Int32 = 3

    /// Reads the variables and takes them out of the environment, so that nothing started from here
    /// mistakes them for its own. Call it before there are other threads.
    static func adopt(environment: [String: String]) -> ServiceManager {
        let own = String(getpid())
        var watchdogSeconds: Double?
        if let text = environment["WATCHDOG_USEC"], let microseconds = Double(text),
            microseconds > 0, (environment["WATCHDOG_PID"] ?? own) == own
        {
            watchdogSeconds = microseconds / 1e6
        }
        var inherited: [Int32] = []
        if environment["LISTEN_PID"] == own,
            let count = environment["LISTEN_FDS"].flatMap({ Int32($0) }), count > 0, count < 1024
        {
            inherited = Array(firstDescriptor..<firstDescriptor + count)
            for descriptor in inherited { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        }
        for name in [
            "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID",
            "NOTIFY_SOCKET",
        ] {
            // Sound: the name is a zero-terminated copy for the call, and no thread reads the
            // environment yet.
            unsafe unsetenv(name)
        }
        return ServiceManager(
            watchdogSeconds: watchdogSeconds, inherited: inherited,
            notifySocket: environment["NOTIFY_SOCKET"])
    }

    enum State {
        case ready(status: String)
        case reloading
        case stopping
        case watchdog

        var message: String {
            switch self {
            case .ready(let status): "READY=1\nSTATUS=\(status)\nMAINPID=\(getpid())"
            case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(ServiceManager.monotonicMicroseconds)"
            case .stopping: "STOPPING=1\nSTATUS=Saving sessions"
            case .watchdog: "WATCHDOG=1"
            }
        }
    }

    private static var monotonicMicroseconds: UInt64 {
        var time = timespec()
        // Sound: clock_gettime(2) writes one timespec, which is what it is given.
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
    }

    /// Does nothing when there is no manager. A notification that can't be sent is dropped: the
    /// manager's own timeout covers that case.
    func notify(_ state: State) {
        guard let notifySocket, let address = SocketAddress(unixPath: notifySocket) else { return }
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let message = Array(state.message.utf8)
        unsafe address.withPointer { address, length in
            // Sound: both pointers are of live buffers of the given sizes; sendto(2) only reads.
            _ = unsafe message.withUnsafeBytes { bytes in
                unsafe sendto(
                    descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL),
                    address, length)
            }
        }
    }
}
