/* base.c: the words for errors, and the version. */
#include <ration/base.h>

#define TEXT(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *rn_version(void) {
    return VERSION_TEXT(RN_VERSION_MAJOR, RN_VERSION_MINOR, RN_VERSION_PATCH);
}

const char *rn_strerror(int error) {
    switch (error) {
    case 0:
        return "no error";
    case RN_EINVAL:
        return "an argument is outside its range";
    case RN_ENOMEM:
        return "memory was denied, by the system or by a limit";
    case RN_EBUSY:
        return "what would have to be given up is still in use";
    default:
        return "unknown error";
    }
}
