/* Makes each flush to the disk take 200 ms more, as a slow SD card does: for LD_PRELOAD. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

enum { DELAY_US = 200000 };

int fsync(int fd)
{
    usleep(DELAY_US);
    return syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    usleep(DELAY_US);
    return syscall(SYS_fdatasync, fd);
}
