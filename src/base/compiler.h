/*
 * Compiler attributes under short names, for gcc and clang.
 */
#ifndef WEIR_BASE_COMPILER_H
#define WEIR_BASE_COMPILER_H

/* The result says whether the call worked: ignoring it is a bug. */
#define MUSTUSE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
