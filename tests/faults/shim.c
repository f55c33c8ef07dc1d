/* A layer below every writer: counts the C library's calls that change files under one directory, and spoils one of them.
 *
 * Preloaded, it passes everything through until faults_arm() is called. The calls are numbered from 0 on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PASS, KILL, FAIL, FAIL_FOR_GOOD, SHORT, INTERRUPT };

static char root[4096];
static long at = -1, count = 0;
static int action = PASS, error_number = 0;
static char names[1 << 20]; /* of the calls so far, one after another, each with a newline */
static size_t names_size = 0;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void faults_arm(const char *directory, long number, int what, int error) {
    strncpy(root, directory, sizeof root - 1);
    at = number, action = what, error_number = error, count = 0, names_size = 0;
}

const char *faults_calls(void) { return names; }

static int inside(const char *path) { return root[0] && path && strncmp(path, root, strlen(root)) == 0; }

static int inside_fd(int fd) {
    char link[64], path[4096];
    if (!root[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return inside(path);
}

/* Returns what to do with this call. */
static int next_call(const char *name) {
    pthread_mutex_lock(&mutex);
    long number = count++;
    int size = snprintf(names + names_size, sizeof names - names_size, "%s\n", name);
    if (names_size + size < sizeof names) names_size += size;
    int now = number == at || (action == FAIL_FOR_GOOD && number > at && at >= 0) ? action : PASS;
    pthread_mutex_unlock(&mutex);
    if (now == KILL) kill(getpid(), SIGKILL), pause();
    if (now == INTERRUPT) kill(getpid(), SIGINT);
    if (now == FAIL || now == FAIL_FOR_GOOD) {
        errno = error_number;
        return FAIL;
    }
    return now;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define ON_PATH(type, name, parameters, arguments, path) \
    type name parameters { \
        if (inside(path) && next_call(#name) == FAIL) return -1; \
        return REAL(name) arguments; \
    }

#define ON_FD(type, name, parameters, arguments, fd) \
    type name parameters { \
        if (inside_fd(fd) && next_call(#name) == FAIL) return -1; \
        return REAL(name) arguments; \
    }

/* Of these, half may be done. */
#define TRANSFER(name, parameters, arguments, half, fd) \
    ssize_t name parameters { \
        if (inside_fd(fd)) { \
            int what = next_call(#name); \
            if (what == FAIL) return -1; \
            if (what == SHORT) half; \
        } \
        return REAL(name) arguments; \
    }

ON_PATH(int, rename, (const char *old, const char *new), (old, new), new)
ON_PATH(int, renameat, (int a, const char *old, int b, const char *new), (a, old, b, new), new)
ON_PATH(int, link, (const char *old, const char *new), (old, new), new)
ON_PATH(int, linkat, (int a, const char *old, int b, const char *new, int flags), (a, old, b, new, flags), new)
ON_PATH(int, symlink, (const char *to, const char *path), (to, path), path)
ON_PATH(int, unlink, (const char *path), (path), path)
ON_PATH(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), path)
ON_PATH(int, mkdir, (const char *path, mode_t mode), (path, mode), path)
ON_PATH(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), path)
ON_PATH(int, rmdir, (const char *path), (path), path)
ON_PATH(int, truncate, (const char *path, off_t size), (path, size), path)
ON_PATH(int, truncate64, (const char *path, off64_t size), (path, size), path)
ON_PATH(int, chmod, (const char *path, mode_t mode), (path, mode), path)
ON_PATH(int, utimensat, (int fd, const char *path, const struct timespec times[2], int flags), (fd, path, times, flags), path)
ON_FD(int, fsync, (int fd), (fd), fd)
ON_FD(int, fdatasync, (int fd), (fd), fd)
ON_FD(int, ftruncate, (int fd, off_t size), (fd, size), fd)
ON_FD(int, ftruncate64, (int fd, off64_t size), (fd, size), fd)
ON_FD(int, fchmod, (int fd, mode_t mode), (fd, mode), fd)
ON_FD(int, futimens, (int fd, const struct timespec times[2]), (fd, times), fd)
ON_FD(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), fd)
ON_FD(int, fallocate64, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size), fd)
TRANSFER(write, (int fd, const void *data, size_t size), (fd, data, size), size = (size + 1) / 2, fd)
TRANSFER(pwrite, (int fd, const void *data, size_t size, off_t to), (fd, data, size, to), size = (size + 1) / 2, fd)
TRANSFER(pwrite64, (int fd, const void *data, size_t size, off64_t to), (fd, data, size, to), size = (size + 1) / 2, fd)
TRANSFER(writev, (int fd, const struct iovec *v, int n), (fd, v, n), n = (n + 1) / 2, fd)
TRANSFER(pwritev, (int fd, const struct iovec *v, int n, off_t to), (fd, v, n, to), n = (n + 1) / 2, fd)
TRANSFER(pwritev2, (int fd, const struct iovec *v, int n, off_t to, int flags), (fd, v, n, to, flags), n = (n + 1) / 2, fd)
TRANSFER(copy_file_range, (int from, off64_t *a, int fd, off64_t *b, size_t size, unsigned flags),
         (from, a, fd, b, size, flags), size = (size + 1) / 2, fd)
TRANSFER(sendfile, (int fd, int from, off_t *a, size_t size), (fd, from, a, size), size = (size + 1) / 2, fd)
TRANSFER(sendfile64, (int fd, int from, off64_t *a, size_t size), (fd, from, a, size), size = (size + 1) / 2, fd)

#define OPEN(name, parameters, arguments, path) \
    int name parameters { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TRUNC)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
            if (inside(path) && next_call(#name) == FAIL) return -1; \
        } \
        return REAL(name) arguments; \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(openat, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), path)
OPEN(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), path)

int ioctl(int fd, unsigned long request, ...) { /* FICLONE writes, too */
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (request == 0x40049409 && inside_fd(fd) && next_call("ioctl") == FAIL) return -1;
    return REAL(ioctl)(fd, request, argument);
}
