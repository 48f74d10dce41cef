#if LBFGSD_MIMALLOC
    internal import CMimalloc
#endif

/// Whose malloc the process uses. mimalloc's replaces glibc's by being linked; asking it for its
/// version is what keeps it linked.
enum Allocator {
    static var name: String {
        #if LBFGSD_MIMALLOC
            let version = mi_version()
            return "mimalloc \(version / 100).\(version / 10 % 10).\(version % 10)"
        #else
            return "system"
        #endif
    }
}
