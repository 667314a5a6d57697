/* http_metrics.c - /metrics, for Prometheus. */
#include "http_parts.h"

#include "qfwatch/exposition.h"

void http_metrics(struct http_request *request, const char *rest)
{
	struct http *http = request->http;
	const char *text;
	size_t length;

	(void)rest;
	if (!http_query_is_known(request, (const char *const[]){NULL}))
		return;
	text = metrics_render(http->metrics, METRICS_FOR_SCRAPE, clock_now(), &length);
	json_text_bytes(&request->body, text, length);
	http_answer(request, MHD_HTTP_OK, EXPOSITION_TYPE);
}
