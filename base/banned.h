/*
 * banned.h - functions that are compile errors here
 *
 * Each has a bounded or reentrant replacement in base/.  Forced into every
 * translation unit of ours by the build (-include), after the system's own
 * headers have been read.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef sprintf
#undef vsprintf
#undef strtok
#undef localtime
#undef gmtime
#undef ctime
#undef asctime
#undef gets
#define strcpy BANNED_use_buf_or_snprintf
#define strcat BANNED_use_buf_or_snprintf
#define strncpy BANNED_use_snprintf
#define strncat BANNED_use_buf_or_snprintf
#define sprintf BANNED_use_snprintf
#define vsprintf BANNED_use_vsnprintf
#define strtok BANNED_use_strtok_r
#define localtime BANNED_use_localtime_r
#define gmtime BANNED_use_gmtime_r
#define ctime BANNED_use_strftime
#define asctime BANNED_use_strftime
#define gets BANNED_use_fgets

#endif
