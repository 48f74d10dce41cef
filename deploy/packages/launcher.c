/* /usr/bin/lbfgsd of the Debian package: becomes the build of the daemon that suits this processor.
   Both give the same bits; the one for x86-64-v3 (AVX2) takes less time for long vectors. The
   process stays the same, so systemd's sockets, notification and watchdog pass through. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    (void)argc;
    __builtin_cpu_init();
    const char *program = __builtin_cpu_supports("x86-64-v3")
                              ? "/usr/libexec/lbfgsd/x86-64-v3/lbfgsd"
                              : "/usr/libexec/lbfgsd/x86-64/lbfgsd";
    execv(program, argv);
    fprintf(stderr, "lbfgsd: cannot run %s: %s\n", program, strerror(errno));
    return 126;
}
