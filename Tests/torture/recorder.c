/* Preloaded into the daemon by the torture harness. For files below $TORTURE_ROOT it
 *
 *   - appends each call that changes them to $TORTURE_TRACE, with its data, in the order in which
 *     the calls took effect (recording.py reads it);
 *   - fails one chosen call, or ends the process at it ($TORTURE_FAULT=KIND:NTH:ACTION[:PART]);
 *   - fails all calls that write while a switch in $TORTURE_CONTROL is set;
 *   - shifts CLOCK_REALTIME by an offset in $TORTURE_CONTROL.
 *
 * $TORTURE_CONTROL is a file of one page, mapped by both sides; `struct control` is its layout.
 * SQLite's -shm is not durable data: calls on it can fail, but are not recorded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum operation {
    OPEN = 1, CLOSE, WRITE, TRUNCATE, ALLOCATE, RENAME, LINK, UNLINK, MAKE_DIRECTORY,
    SYNC_BEGIN, SYNC_END, PROCESS
};

/* The kinds of calls that $TORTURE_FAULT names, in the order of control.calls. */
enum kind { K_OPEN, K_WRITE, K_SYNC, K_TRUNCATE, K_ALLOCATE, K_RENAME, K_UNLINK, K_MKDIR, KINDS };
static const char *const kind_names[KINDS] = {"open", "write", "sync", "truncate", "allocate",
                                              "rename", "unlink", "mkdir"};

struct control {
    _Atomic uint64_t sequence; /* of the newest recorded call */
    _Atomic uint64_t calls[KINDS];
    _Atomic int64_t failing; /* an errno for every call that writes; 0 for none */
    _Atomic int64_t clock_nanoseconds;
    _Atomic uint64_t fired; /* how often $TORTURE_FAULT took effect */
};

struct record {
    uint32_t magic, operation;
    uint64_t sequence;
    int64_t descriptor, result, offset, length;
    uint32_t path_bytes, data_bytes;
};

#define MAGIC 0x54524345u
#define DESCRIPTORS 65536
#define SHORT_WRITE (-1)
#define KILL_BEFORE (-2)
#define KILL_AFTER (-3)

enum { UNTRACKED, TRACKED, SHARED_MEMORY };
static _Atomic unsigned char tracked[DESCRIPTORS];
static char names[DESCRIPTORS][48]; /* the end of each open file's path, for PART */
static char root[PATH_MAX];
static size_t root_bytes;
static int trace = -1;
static struct control *control;
static struct control private_control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int fault_kind = -1, fault_action;
static uint64_t fault_call;
static _Atomic uint64_t fault_seen;
static char fault_part[64];

#define REAL(name, type, ...) static type (*real_##name)(__VA_ARGS__)
REAL(open, int, const char *, int, ...);
REAL(openat, int, int, const char *, int, ...);
REAL(close, int, int);
REAL(write, ssize_t, int, const void *, size_t);
REAL(pwrite, ssize_t, int, const void *, size_t, off_t);
REAL(writev, ssize_t, int, const struct iovec *, int);
REAL(pwritev, ssize_t, int, const struct iovec *, int, off_t);
REAL(ftruncate, int, int, off_t);
REAL(fallocate, int, int, int, off_t, off_t);
REAL(rename, int, const char *, const char *);
REAL(link, int, const char *, const char *);
REAL(unlink, int, const char *);
REAL(mkdir, int, const char *, mode_t);
REAL(fsync, int, int);
REAL(fdatasync, int, int);

static void resolve(void) {
#define FIND(name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)
    FIND(open); FIND(openat); FIND(close); FIND(write); FIND(pwrite); FIND(writev);
    FIND(pwritev); FIND(ftruncate); FIND(fallocate); FIND(rename); FIND(link); FIND(unlink);
    FIND(mkdir); FIND(fsync); FIND(fdatasync);
}

static int action_named(const char *text) {
    static const struct { const char *name; int action; } actions[] = {
        {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EINTR", EINTR}, {"EFBIG", EFBIG},
        {"EROFS", EROFS}, {"EMFILE", EMFILE}, {"SHORT", SHORT_WRITE}, {"KILL", KILL_BEFORE},
        {"KILLAFTER", KILL_AFTER}};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (!strcmp(actions[i].name, text)) return actions[i].action;
    abort();
}

__attribute__((constructor)) static void begin(void) {
    resolve();
    control = &private_control;
    const char *text = getenv("TORTURE_ROOT");
    if (!text) return;
    strncpy(root, text, sizeof root - 1);
    const char *path = getenv("TORTURE_CONTROL");
    if (path) {
        int file = real_open(path, O_RDWR | O_CLOEXEC);
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (page == MAP_FAILED) abort();
        control = page;
        real_close(file);
    }
    if ((text = getenv("TORTURE_FAULT"))) {
        char copy[256], *rest = copy;
        strncpy(copy, text, sizeof copy - 1);
        copy[sizeof copy - 1] = 0;
        const char *kind = strsep(&rest, ":"), *call = strsep(&rest, ":");
        const char *action = strsep(&rest, ":");
        for (int k = 0; k < KINDS; k++)
            if (!strcmp(kind_names[k], kind)) fault_kind = k;
        if (fault_kind < 0 || !action) abort();
        fault_call = strtoull(call, NULL, 10);
        fault_action = action_named(action);
        if (rest) strncpy(fault_part, rest, sizeof fault_part - 1);
    }
    if ((text = getenv("TORTURE_TRACE"))) {
        trace = real_open(text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (trace < 0) abort();
        struct record head = {.magic = MAGIC, .operation = PROCESS, .descriptor = getpid()};
        head.sequence = atomic_fetch_add(&control->sequence, 1) + 1;
        if (real_write(trace, &head, sizeof head) != sizeof head) abort();
    }
    root_bytes = strlen(root); /* last: calls are looked at from here on */
}

/* The path below the root ("" for the root itself), or NULL. */
static const char *below(const char *path) {
    if (!root_bytes || !path || strncmp(path, root, root_bytes)) return NULL;
    if (!path[root_bytes]) return path + root_bytes;
    return path[root_bytes] == '/' ? path + root_bytes + 1 : NULL;
}

static int is_shared_memory(const char *path) {
    size_t count = strlen(path);
    return count >= 4 && !strcmp(path + count - 4, "-shm");
}

static int state_of(int descriptor) {
    return descriptor >= 0 && descriptor < DESCRIPTORS ? tracked[descriptor] : UNTRACKED;
}

/* With `lock` held. */
static void put(enum operation operation, int64_t descriptor, int64_t result, int64_t offset,
                int64_t length, const char *path, const struct iovec *data, int pieces,
                size_t data_bytes) {
    if (trace < 0) return;
    struct record head = {MAGIC, operation, atomic_load(&control->sequence) + 1, descriptor,
                          result, offset, length, path ? strlen(path) : 0, data_bytes};
    struct iovec out[2] = {{&head, sizeof head}, {(void *)path, head.path_bytes}};
    if (real_writev(trace, out, 2) != (ssize_t)(sizeof head + head.path_bytes)) abort();
    for (int i = 0; i < pieces && data_bytes; i++) {
        const char *from = data[i].iov_base;
        size_t count = data[i].iov_len < data_bytes ? data[i].iov_len : data_bytes;
        data_bytes -= count;
        while (count) {
            ssize_t written = real_write(trace, from, count);
            if (written <= 0) abort();
            from += written;
            count -= written;
        }
    }
    atomic_fetch_add(&control->sequence, 1);
}

static void end_here(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether a path is what PART names: it has PART in it, or ends with what follows a `$`. The root's
 * path is `.`. */
static int is_part(const char *path) {
    if (!*path) path = ".";
    if (fault_part[0] != '$') return strstr(path, fault_part) != NULL;
    size_t count = strlen(path), end = strlen(fault_part + 1);
    return count >= end && !strcmp(path + count - end, fault_part + 1);
}

/* Whether this call is the one that fails: an errno, SHORT_WRITE, KILL_AFTER, or 0. */
static int fault(enum kind kind, const char *path) {
    atomic_fetch_add(&control->calls[kind], 1);
    int64_t failing = atomic_load(&control->failing);
    if (failing && kind != K_SYNC) return failing;
    if ((int)kind != fault_kind || (fault_part[0] && !is_part(path))) return 0;
    if (atomic_fetch_add(&fault_seen, 1) + 1 != fault_call) return 0;
    atomic_fetch_add(&control->fired, 1);
    if (fault_action == KILL_BEFORE) end_here();
    return fault_action;
}

/* The result of a call that fault() has a word on: 1 if it fails with `errno`. */
static int fails(int action) {
    if (action <= 0) return 0;
    errno = action;
    return 1;
}

static void after(int action) {
    if (action == KILL_AFTER) end_here();
}

static int opened(int directory, const char *path, int flags, mode_t mode) {
    const char *name = directory == AT_FDCWD ? below(path) : NULL;
    if (!real_open) resolve();
    if (!name)
        return directory == AT_FDCWD ? real_open(path, flags, mode)
                                     : real_openat(directory, path, flags, mode);
    int changes = (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY;
    int action = changes ? fault(K_OPEN, name) : 0;
    if (fails(action)) return -1;
    pthread_mutex_lock(&lock);
    int file = real_open(path, flags, mode), code = errno;
    if (file >= 0 && file < DESCRIPTORS) {
        tracked[file] = is_shared_memory(name) ? SHARED_MEMORY : TRACKED;
        size_t count = strlen(name), from = count > 47 ? count - 47 : 0;
        memcpy(names[file], name + from, count - from + 1);
        if (tracked[file] == TRACKED) put(OPEN, file, 0, flags, 0, name, NULL, 0, 0);
    }
    pthread_mutex_unlock(&lock);
    after(action);
    errno = code;
    return file;
}

#define OPENING(flags)                                                                            \
    mode_t mode = 0;                                                                              \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                        \
        va_list list;                                                                             \
        va_start(list, flags);                                                                    \
        mode = va_arg(list, mode_t);                                                              \
        va_end(list);                                                                             \
    }

int open(const char *path, int flags, ...) {
    OPENING(flags)
    return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    OPENING(flags)
    return opened(AT_FDCWD, path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
    OPENING(flags)
    return opened(at, path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
    OPENING(flags)
    return opened(at, path, flags, mode);
}
int creat(const char *path, mode_t mode) {
    return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int file) {
    if (!real_close) resolve();
    if (state_of(file) == UNTRACKED) return real_close(file);
    pthread_mutex_lock(&lock);
    if (tracked[file] == TRACKED) put(CLOSE, file, 0, 0, 0, NULL, NULL, 0, 0);
    tracked[file] = UNTRACKED;
    int result = real_close(file);
    pthread_mutex_unlock(&lock);
    return result;
}

/* All forms of writing: at `offset`, or at the file's position if that is negative. */
static ssize_t written(int file, const struct iovec *data, int pieces, off_t offset) {
    int action = fault(K_WRITE, names[file]);
    if (fails(action)) return -1;
    struct iovec only = data[0];
    if (action == SHORT_WRITE) {
        size_t half = only.iov_len / 2;
        if (half >= 4096) half &= ~(size_t)4095;
        int is_direct = fcntl(file, F_GETFL) & O_DIRECT;
        if (half && !(is_direct && half % 4096)) only.iov_len = half, data = &only, pieces = 1;
    }
    pthread_mutex_lock(&lock);
    off_t at = offset >= 0 ? offset : lseek(file, 0, SEEK_CUR);
    ssize_t count = offset >= 0 ? real_pwritev(file, data, pieces, offset)
                                : real_writev(file, data, pieces);
    int code = errno;
    if (count > 0 && tracked[file] == TRACKED)
        put(WRITE, file, 0, at, count, NULL, data, pieces, count);
    pthread_mutex_unlock(&lock);
    after(action);
    errno = code;
    return count;
}

ssize_t write(int file, const void *bytes, size_t count) {
    if (!real_write) resolve();
    if (state_of(file) == UNTRACKED) return real_write(file, bytes, count);
    return written(file, &(struct iovec){(void *)bytes, count}, 1, -1);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    if (!real_pwrite) resolve();
    if (state_of(file) == UNTRACKED) return real_pwrite(file, bytes, count, offset);
    return written(file, &(struct iovec){(void *)bytes, count}, 1, offset);
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    return pwrite(file, bytes, count, offset);
}

ssize_t writev(int file, const struct iovec *data, int pieces) {
    if (!real_writev) resolve();
    return state_of(file) == UNTRACKED ? real_writev(file, data, pieces)
                                       : written(file, data, pieces, -1);
}

ssize_t pwritev(int file, const struct iovec *data, int pieces, off_t offset) {
    if (!real_pwritev) resolve();
    return state_of(file) == UNTRACKED ? real_pwritev(file, data, pieces, offset)
                                       : written(file, data, pieces, offset);
}
ssize_t pwritev64(int file, const struct iovec *data, int pieces, off64_t offset) {
    return pwritev(file, data, pieces, offset);
}

int ftruncate(int file, off_t size) {
    if (!real_ftruncate) resolve();
    if (state_of(file) == UNTRACKED) return real_ftruncate(file, size);
    int action = fault(K_TRUNCATE, names[file]);
    if (fails(action)) return -1;
    pthread_mutex_lock(&lock);
    int result = real_ftruncate(file, size), code = errno;
    if (!result && tracked[file] == TRACKED) put(TRUNCATE, file, 0, 0, size, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    after(action);
    errno = code;
    return result;
}
int ftruncate64(int file, off64_t size) { return ftruncate(file, size); }

int fallocate(int file, int mode, off_t offset, off_t length) {
    if (!real_fallocate) resolve();
    if (state_of(file) == UNTRACKED) return real_fallocate(file, mode, offset, length);
    int action = fault(K_ALLOCATE, names[file]);
    if (fails(action)) return -1;
    pthread_mutex_lock(&lock);
    int result = real_fallocate(file, mode, offset, length), code = errno;
    if (!result && tracked[file] == TRACKED)
        put(ALLOCATE, file, mode, offset, length, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    after(action);
    errno = code;
    return result;
}
int fallocate64(int file, int mode, off64_t offset, off64_t length) {
    return fallocate(file, mode, offset, length);
}
int posix_fallocate(int file, off_t offset, off_t length) {
    return fallocate(file, 0, offset, length) ? errno : 0;
}
int posix_fallocate64(int file, off64_t offset, off64_t length) {
    return posix_fallocate(file, offset, length);
}

/* A change of names. `second` is the new name of a rename or a link. */
static int renamed(enum kind kind, enum operation operation, const char *first,
                   const char *second, mode_t mode) {
    if (!real_open) resolve();
    const char *name = below(first), *other = second ? below(second) : NULL;
    int is_recorded = name && !is_shared_memory(name);
    int action = name ? fault(kind, name) : 0;
    if (fails(action)) return -1;
    pthread_mutex_lock(&lock);
    int result = operation == RENAME ? real_rename(first, second)
                 : operation == LINK ? real_link(first, second)
                 : operation == UNLINK ? real_unlink(first)
                                       : real_mkdir(first, mode);
    int code = errno;
    if (!result && is_recorded) {
        struct iovec to = {(void *)other, other ? strlen(other) : 0};
        put(operation, -1, 0, 0, 0, name, &to, other ? 1 : 0, to.iov_len);
    }
    pthread_mutex_unlock(&lock);
    after(action);
    errno = code;
    return result;
}

int rename(const char *from, const char *to) { return renamed(K_RENAME, RENAME, from, to, 0); }
int renameat(int at, const char *from, int to_at, const char *to) {
    return at == AT_FDCWD && to_at == AT_FDCWD ? rename(from, to)
                                               : syscall(SYS_renameat2, at, from, to_at, to, 0);
}
int link(const char *from, const char *to) { return renamed(K_RENAME, LINK, from, to, 0); }
int unlink(const char *path) { return renamed(K_UNLINK, UNLINK, path, NULL, 0); }
int unlinkat(int at, const char *path, int flags) {
    return at == AT_FDCWD && !flags ? unlink(path) : syscall(SYS_unlinkat, at, path, flags);
}
int mkdir(const char *path, mode_t mode) {
    return renamed(K_MKDIR, MAKE_DIRECTORY, path, NULL, mode);
}
int mkdirat(int at, const char *path, mode_t mode) {
    return at == AT_FDCWD ? mkdir(path, mode) : syscall(SYS_mkdirat, at, path, mode);
}

/* A sync makes durable what was written before it began. */
static int synced(int file, int (*real)(int)) {
    if (state_of(file) != TRACKED) return real(file);
    int action = fault(K_SYNC, names[file]);
    pthread_mutex_lock(&lock);
    put(SYNC_BEGIN, file, 0, 0, 0, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    int result = action > 0 ? -1 : real(file), code = action > 0 ? action : errno;
    pthread_mutex_lock(&lock);
    put(SYNC_END, file, result, 0, 0, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    after(action);
    errno = code;
    return result;
}
int fsync(int file) {
    if (!real_fsync) resolve();
    return synced(file, real_fsync);
}
int fdatasync(int file) {
    if (!real_fdatasync) resolve();
    return synced(file, real_fdatasync);
}

/* The wall clock. Deadlines use the monotonic one, which nothing can step. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    int64_t shift = control ? atomic_load(&control->clock_nanoseconds) : 0;
    if (!result && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t all = time->tv_sec * INT64_C(1000000000) + time->tv_nsec + shift;
        time->tv_sec = all / 1000000000;
        time->tv_nsec = all % 1000000000;
    }
    return result;
}
int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
