internal import Foundation
internal import Glibc

/// An amount of memory: in bytes, or as a share of the machine's.
enum MemoryBudget: Equatable, Sendable {
    case bytes(Int)
    case percent(Int)

    /// In bytes, on this machine.
    var resolved: Int {
        switch self {
        case .bytes(let bytes): bytes
        case .percent(let percent): MachineMemory.bytes / 100 * percent
        }
    }
}

extension ValueForm<MemoryBudget> {
    static func memory(_ range: ClosedRange<Int>) -> ValueForm {
        let bytes = ValueForm<Int>.bytes(range)
        return ValueForm(
            placeholder: "bytes|percent",
            requirement: bytes.requirement + ", or a share of the memory from 1% to 100%",
            isText: true,
            read: { text in
                guard text.hasSuffix("%") else { return bytes.read(text).map { .bytes($0) } }
                return ValueForm<Int>.count(1...100).read(String(text.dropLast()))
                    .map { .percent($0) }
            },
            show: { budget in
                switch budget {
                case .bytes(let count): bytes.show(count)
                case .percent(let percent): "\(percent)%"
                }
            })
    }
}

/// The memory that this process may use: the machine's, or less in a control group with a limit
/// (`MemoryMax=` in a unit, `--memory` of a container).
enum MachineMemory {
    static let bytes: Int = {
        let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        return groupLimits.reduce(max(physical, 64 << 20), min)
    }()

    /// The limits of the process's control group (version 2) and of the groups above it.
    private static var groupLimits: [Int] {
        guard
            let line = read("/proc/self/cgroup")?.split(separator: "\n")
                .first(where: { $0.hasPrefix("0::/") })
        else { return [] }
        var names = line.dropFirst(3).split(separator: "/")
        var limits: [Int] = []
        while true {
            let group = (["/sys/fs/cgroup"] + names.map(String.init)).joined(separator: "/")
            // "max" is no number, and the root has no such file.
            if let limit = read(group + "/memory.max").flatMap({ Int($0.dropLast()) }) {
                limits.append(limit)
            }
            guard names.popLast() != nil else { return limits }
        }
    }

    private static func read(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }
}
