// swift-tools-version: 6.2
import Foundation
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .treatWarning("DeprecatedDeclaration", as: .warning),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
]

// With LBFGSD_CPU=x86-64-v3 (AVX2) the engine's registers hold four numbers. The bits stay the same:
// nothing is fused without being asked to. Unsafe, so nothing for packages that depend on this one.
let cpu = Context.environment["LBFGSD_CPU"] ?? ""
let engineForCPU: [SwiftSetting] =
    cpu.isEmpty
    ? [] : [.unsafeFlags(["-Xcc", "-march=\(cpu)"]), .define("LBFGS_WIDE_REGISTERS")]

// Takes the place of glibc's malloc in the daemon, where its header is: a tenth of a small request's
// processor time. Without it nothing else changes.
let hasMimalloc = FileManager.default.fileExists(atPath: "/usr/include/mimalloc.h")

// The C library carries the Swift runtime within, and shows nothing of it: programs that have
// another version of that runtime can load it. It stays loaded, as the runtime has to.
let exportsOfEngine = "\(Context.packageDirectory)/Sources/EngineLibrary/exports.map"
let engineLibraryLinking: [LinkerSetting] = [
    .unsafeFlags([
        // gold exports what Swift protects, whatever the script says.
        "-use-ld=lld", "-static-stdlib", "-Xlinker", "-soname=liblbfgsd.so.1",
        "-Xlinker", "--version-script=\(exportsOfEngine)",
        "-Xlinker", "--gc-sections", "-Xlinker", "-z", "-Xlinker", "nodelete",
    ])
]

let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

// Tests/fuzz/run.sh builds the fuzz targets, with libFuzzer. The daemon's sources are then a
// library with another entry point, as one executable can't import another.
let isFuzzing = Context.environment["LBFGSD_FUZZ"] != nil
let fuzzTargets: [Target] =
    !isFuzzing
    ? []
    : [
        .systemLibrary(name: "CFuzzer", path: "Tests/fuzz/CFuzzer"),
        .executableTarget(
            name: "FuzzTargets",
            dependencies: [
                "CFuzzer", "DiskLog", "Ensembles", "HTTPServer", "LBFGS", "SQLiteStore",
                "SessionModel", "Sessions", "Webhooks", "Wire", "lbfgsd", httpTypes,
            ],
            path: "Tests/fuzz/FuzzTargets", swiftSettings: strict,
            // gold ends with an internal error here.
            linkerSettings: [.unsafeFlags(["-use-ld=lld"])]),
    ]

let daemonDependencies: [Target.Dependency] =
    [
        "Ensembles", "Sessions", "Wire", "SQLiteStore", "HTTPServer", "Webhooks", "API",
        "Telemetry", "Yams",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ] + (hasMimalloc ? ["CMimalloc"] : [])
let daemonSettings = strict + (hasMimalloc ? [.define("LBFGSD_MIMALLOC")] : [])
let daemon: Target =
    isFuzzing
    ? .target(
        name: "lbfgsd", dependencies: daemonDependencies,
        swiftSettings: daemonSettings + [
            .unsafeFlags([
                "-parse-as-library", "-Xfrontend", "-entry-point-function-name", "-Xfrontend",
                "lbfgsd_main",
            ])
        ])
    : .executableTarget(
        name: "lbfgsd", dependencies: daemonDependencies, swiftSettings: daemonSettings)

let package = Package(
    name: "lbfgsd",
    products: [
        .library(name: "LBFGS", targets: ["LBFGS"]),
        .library(name: "LBFGSHooks", targets: ["LBFGSHooks"]),
        isFuzzing
            ? .library(name: "lbfgsd", targets: ["lbfgsd"])
            : .executable(name: "lbfgsd", targets: ["lbfgsd"]),
        // Installed as liblbfgsd.so. The name lbfgsd is the daemon's.
        .library(name: "lbfgsd-engine", type: .dynamic, targets: ["EngineLibrary"]),
        .library(name: "EngineBenchmark", type: .dynamic, targets: ["EngineBenchmark"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(
            name: "LBFGS", swiftSettings: strict + engineForCPU,
            // Square roots in debug builds; nothing else would link it for a program of its own.
            linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]
        ),
        .systemLibrary(name: "CLbfgsd"),
        .target(
            name: "EngineLibrary", dependencies: ["CLbfgsd", "LBFGS"], exclude: ["exports.map"],
            swiftSettings: strict, linkerSettings: engineLibraryLinking),
        .target(name: "Parallel", swiftSettings: strict),
        .target(
            name: "SessionModel",
            dependencies: ["Hashing", "LBFGS"], swiftSettings: strict),
        .target(
            name: "Sessions",
            dependencies: ["LBFGS", "Parallel", "SessionModel", "Telemetry"],
            swiftSettings: strict),
        .target(name: "CSobol", exclude: ["LICENSE", "directions.bin", "pack.py"]),
        .target(
            name: "Ensembles", dependencies: ["CSobol", "SessionModel", "Sessions", "Telemetry"],
            swiftSettings: strict),
        .target(name: "LBFGSHooks", dependencies: ["LBFGS"], swiftSettings: strict),
        .target(name: "Wire", dependencies: ["SessionModel"], swiftSettings: strict),
        .target(name: "DiskLog", dependencies: ["CLinux"], swiftSettings: strict),
        .target(
            name: "SQLiteStore",
            dependencies: [
                "DiskLog", "SessionModel", "Telemetry",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: strict),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(
            name: "CMicrohttpd", pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(
            name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .target(
            name: "Webhooks", dependencies: ["CCurl", "Hashing"], swiftSettings: strict),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "Hashing", dependencies: ["COpenSSL"], swiftSettings: strict),
        .target(name: "CMicrohttpdPages"),
        .target(
            name: "HTTPServer", dependencies: ["CMicrohttpd", "CMicrohttpdPages", httpTypes],
            swiftSettings: strict),
        .target(
            name: "API",
            dependencies: [
                "COpenAPI", "CPage", "Ensembles", "Sessions", "Wire", "HTTPServer", "Telemetry",
                "Hashing", httpTypes,
            ],
            swiftSettings: strict),
        .target(name: "COpenAPI"),
        .target(name: "CPage", exclude: ["web"]),
        .target(name: "Telemetry", dependencies: [logging], swiftSettings: strict),
        daemon,
        .systemLibrary(name: "CMimalloc", providers: [.apt(["libmimalloc-dev"])]),

        .target(
            name: "EngineBenchmark", dependencies: ["LBFGS", "Parallel"],
            path: "Benchmarks/engine/EngineBenchmark", swiftSettings: strict),
        .target(
            name: "TestKit", dependencies: ["LBFGS"], path: "Tests/TestKit",
            swiftSettings: strict),
        .executableTarget(
            name: "TrajectoryBits", dependencies: ["TestKit"], path: "Tests/TrajectoryBits",
            exclude: ["golden.txt"],
            swiftSettings: strict),
        .testTarget(
            name: "LBFGSTests", dependencies: ["LBFGS", "Parallel", "TestKit"],
            exclude: ["Fixtures"],
            swiftSettings: strict),
        .testTarget(
            name: "LBFGSHooksTests", dependencies: ["LBFGSHooks", "LBFGS"], swiftSettings: strict),
        .testTarget(
            name: "WebhooksTests",
            dependencies: ["TestKit", "Webhooks"], swiftSettings: strict),
        .testTarget(name: "HashingTests", dependencies: ["Hashing"], swiftSettings: strict),
        .testTarget(
            name: "SessionsTests", dependencies: ["Sessions", "Telemetry", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "EnsemblesTests",
            dependencies: ["Ensembles", "SQLiteStore", "SessionModel", "Sessions", "TestKit"],
            exclude: ["Fixtures"], swiftSettings: strict),
        .testTarget(
            name: "WireTests", dependencies: ["SessionModel", "Sessions", "Wire"],
            swiftSettings: strict),
        .testTarget(
            name: "DiskLogTests", dependencies: ["DiskLog"], swiftSettings: strict),
        .testTarget(
            name: "StoreContractTests",
            dependencies: ["DiskLog", "SessionModel", "Sessions", "SQLiteStore", "TestKit"],
            exclude: ["Fixtures"],
            swiftSettings: strict),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["DiskLog", "SessionModel", "Sessions", "SQLiteStore", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "HTTPServerTests", dependencies: ["HTTPServer", "TestKit", httpTypes],
            swiftSettings: strict),
        .testTarget(
            name: "APITests",
            dependencies: ["API", "Sessions", "HTTPServer", "Telemetry", httpTypes],
            swiftSettings: strict),
        .testTarget(
            name: "TelemetryTests", dependencies: ["Telemetry", logging], swiftSettings: strict),
        .testTarget(
            name: "TidyTests",
            dependencies: ["API", "Sessions", "HTTPServer", "Telemetry", "Yams", httpTypes],
            swiftSettings: strict),
    ] + fuzzTargets
)
