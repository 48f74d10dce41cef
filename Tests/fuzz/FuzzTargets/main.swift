internal import CFuzzer
internal import Foundation

// libFuzzer's targets, one of which LBFGSD_FUZZ_TARGET chooses (--targets lists them): decoders of
// bytes that a client, an operator or a damaged disk can send. What a target looks for is a crash, a
// report of the address sanitizer, a hang, memory out of proportion, or a property that does not
// hold.

let targets: [String: FuzzTarget] = [
    "bounds": fuzzBounds,
    "configuration": fuzzConfiguration,
    "ensemble": fuzzEnsemble,
    "json": fuzzJSON,
    "log": fuzzLog,
    "npy": fuzzNpy,
    "replication": fuzzReplication,
    "request": fuzzRequest,
    "rows": fuzzRows,
    "safetensors": fuzzSafetensors,
    "session-file": fuzzSessionFile,
    "snapshot": fuzzSnapshot,
    "webhook": fuzzWebhook,
]

if CommandLine.arguments.dropFirst() == ["--targets"] {
    print(targets.keys.sorted().joined(separator: "\n"))
    exit(0)
}
let name = ProcessInfo.processInfo.environment["LBFGSD_FUZZ_TARGET"] ?? ""
guard let target = targets[name] else {
    let names = targets.keys.sorted().joined(separator: ", ")
    fatalError("LBFGSD_FUZZ_TARGET must be one of \(names)")
}
/// For the callback, which can't capture.
let chosenTarget = target

var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
exit(
    unsafe LLVMFuzzerRunDriver(&count, &arguments) { bytes, count in
        // Sound: libFuzzer passes `count` bytes, which are copied.
        unsafe chosenTarget(Array(UnsafeBufferPointer(start: bytes, count: Int(count))))
        return 0
    })
