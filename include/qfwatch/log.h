/* log.h - diagnostics for people, on stderr.
 *
 * On a terminal: "qfwatch: text". Elsewhere with systemd's "<N>" priority prefix (sd-daemon(3)), so
 * that the journal files each line by its level. Never blocks: a line that stderr does not take at
 * once is counted, and the count is told later.
 */
#ifndef QFWATCH_LOG_H
#define QFWATCH_LOG_H

#include <stdint.h>

/* syslog(3)'s numbers. */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6
};

/* One line, printf style, without a newline. Control characters become '?', as names in a spool
 * come from anywhere. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_LEVEL_INFO, __VA_ARGS__)

/* Lines that stderr did not take. */
uint64_t log_lost(void);

#endif
