/* Preloaded into programs that the thread sanitizer watches: tells it of Synchronization.Mutex.
 *
 * The mutex's quick path is an atomic exchange within the instrumented program, which the sanitizer
 * sees. The contended path is in libswiftSynchronization.so, which isn't instrumented: who waited in
 * the kernel, or was handed the lock by it, seems never to have synchronized with who had the lock
 * before. So these stand before its three functions and name the edges. No access is excused: a race
 * on what no mutex protects is still reported, also next to a mutex. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

/* Absent in a process without the sanitizer, such as SwiftPM's own. */
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

/* Swift passes the address of the handle, which is the futex, where C would pass no argument. */
#define SWIFT __attribute__((swiftcall))
#define CONTEXT __attribute__((swift_context))

typedef SWIFT void lock_function(uint32_t thread, CONTEXT void *handle);
typedef SWIFT _Bool try_function(CONTEXT void *handle);
typedef SWIFT void unlock_function(CONTEXT void *handle);

lock_function lock_slow __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
try_function try_slow __asm__("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF");
unlock_function unlock_slow __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");

/* Another version of the library may have other functions: better no run than one that lies. */
static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

SWIFT void lock_slow(uint32_t thread, CONTEXT void *handle) {
    static lock_function *function;
    if (!function)
        function = (lock_function *)next("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
    function(thread, handle);
    if (__tsan_acquire) __tsan_acquire(handle);
}

SWIFT _Bool try_slow(CONTEXT void *handle) {
    static try_function *function;
    if (!function)
        function = (try_function *)next("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF");
    _Bool locked = function(handle);
    if (locked && __tsan_acquire) __tsan_acquire(handle);
    return locked;
}

SWIFT void unlock_slow(CONTEXT void *handle) {
    static unlock_function *function;
    if (!function)
        function = (unlock_function *)next("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
    if (__tsan_release) __tsan_release(handle);
    function(handle);
}
