#if LBFGSD_MIMALLOC
    internal import CMimalloc
#endif

/// Which malloc the process uses. mimalloc replaces glibc's malloc by being linked; the call for
/// its version keeps the linker from dropping it.
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
