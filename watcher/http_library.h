/* http_library.h - libmicrohttpd's functions, loaded when the policy first listens. */
#ifndef QFWATCH_HTTP_LIBRARY_H
#define QFWATCH_HTTP_LIBRARY_H

#include <microhttpd.h>

/* Each named as in libmicrohttpd, without MHD_. */
struct http_library {
	typeof(MHD_add_connection) *add_connection;
	typeof(MHD_add_response_header) *add_response_header;
	typeof(MHD_create_response_from_buffer) *create_response_from_buffer;
	typeof(MHD_create_response_from_callback) *create_response_from_callback;
	typeof(MHD_destroy_response) *destroy_response;
	typeof(MHD_get_connection_info) *get_connection_info;
	typeof(MHD_get_connection_values_n) *get_connection_values_n;
	typeof(MHD_get_daemon_info) *get_daemon_info;
	typeof(MHD_get_timeout) *get_timeout;
	typeof(MHD_lookup_connection_value) *lookup_connection_value;
	typeof(MHD_queue_response) *queue_response;
	typeof(MHD_resume_connection) *resume_connection;
	typeof(MHD_run) *run;
	typeof(MHD_start_daemon) *start_daemon;
	typeof(MHD_stop_daemon) *stop_daemon;
	typeof(MHD_suspend_connection) *suspend_connection;
};

/* Loads them into *ret. Returns NULL, or what is wrong. */
const char *http_library_load(struct http_library *ret);

#endif
