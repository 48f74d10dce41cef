internal import Foundation
internal import Glibc

/// The kernel's statistics of this process, with the names of Prometheus' client libraries.
enum ProcessMetrics {
    static func register(in registry: MetricsRegistry) {
        registry.gauge(
            "process_resident_memory_bytes", help: "Resident memory size in bytes.",
            reading: { statistics().map { $0.residentPages * pageBytes } })
        registry.gauge(
            "process_virtual_memory_bytes", help: "Virtual memory size in bytes.",
            reading: { statistics()?.virtualBytes })
        registry.counter(
            "process_cpu_seconds_total", help: "Total user and system CPU time spent in seconds.",
            reading: { statistics().map { $0.cpuTicks / ticksPerSecond } })
        registry.gauge(
            "process_threads", help: "Number of OS threads in the process.",
            reading: { statistics()?.threads })
        registry.gauge(
            "process_start_time_seconds",
            help: "Start time of the process since unix epoch in seconds.",
            reading: { startTimeSeconds })
        registry.gauge(
            "process_open_fds", help: "Number of open file descriptors.",
            reading: { openDescriptors() })
        registry.gauge(
            "process_max_fds", help: "Maximum number of open file descriptors.",
            reading: { maxDescriptors() })
    }

    struct Statistics {
        var cpuTicks: Double
        var threads: Double
        var startTicks: Double
        var virtualBytes: Double
        var residentPages: Double
    }

    private static let pageBytes = Double(sysconf(Int32(_SC_PAGESIZE)))
    private static let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))

    /// Computed once, because neither the boot time nor the start time changes.
    private static let startTimeSeconds: Double? = {
        guard let statistics = statistics(), let system = contents("/proc/stat"),
            let line = system.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let bootSeconds = Double(line.dropFirst("btime ".count))
        else { return nil }
        return bootSeconds + statistics.startTicks / ticksPerSecond
    }()

    private static func statistics() -> Statistics? {
        contents("/proc/self/stat").flatMap(parse)
    }

    /// Parses `/proc/self/stat`: proc(5). The command's name is in parentheses and may contain
    /// spaces and parentheses. The first field after it, `state`, is number 3.
    static func parse(_ stat: String) -> Statistics? {
        guard let close = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[close...].dropFirst().split(separator: " ")
        func field(_ number: Int) -> Double? {
            number - 3 < fields.count ? Double(fields[number - 3]) : nil
        }
        guard let user = field(14), let system = field(15), let threads = field(20),
            let start = field(22), let virtual = field(23), let resident = field(24)
        else { return nil }
        return Statistics(
            cpuTicks: user + system, threads: threads, startTicks: start, virtualBytes: virtual,
            residentPages: resident)
    }

    private static func contents(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }

    /// The listing itself opens a descriptor, which is subtracted.
    private static func openDescriptors() -> Double? {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))
            .map { Double($0.count - 1) }
    }

    private static func maxDescriptors() -> Double? {
        var limit = rlimit()
        // Sound: getrlimit(2) fills in one rlimit.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return nil
        }
        return Double(limit.rlim_cur)
    }
}
