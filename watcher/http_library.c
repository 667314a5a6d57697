/* http_library.c - see http_library.h */
#include "http_library.h"

#include "qfwatch/library.h"

const char *http_library_load(struct http_library *ret)
{
	static const char *const names[] = {"libmicrohttpd.so.12", "libmicrohttpd.so", NULL};
	const struct library_symbol symbols[] = {
		{"MHD_add_connection", &ret->add_connection},
		{"MHD_add_response_header", &ret->add_response_header},
		{"MHD_create_response_from_buffer", &ret->create_response_from_buffer},
		{"MHD_create_response_from_callback", &ret->create_response_from_callback},
		{"MHD_destroy_response", &ret->destroy_response},
		{"MHD_get_connection_info", &ret->get_connection_info},
		{"MHD_get_connection_values_n", &ret->get_connection_values_n},
		{"MHD_get_daemon_info", &ret->get_daemon_info},
		{"MHD_get_timeout", &ret->get_timeout},
		{"MHD_lookup_connection_value", &ret->lookup_connection_value},
		{"MHD_queue_response", &ret->queue_response},
		{"MHD_resume_connection", &ret->resume_connection},
		{"MHD_run", &ret->run},
		{"MHD_start_daemon", &ret->start_daemon},
		{"MHD_stop_daemon", &ret->stop_daemon},
		{"MHD_suspend_connection", &ret->suspend_connection},
	};

	return library_load(names, symbols, sizeof symbols / sizeof *symbols);
}
