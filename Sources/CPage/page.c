/* #embed, for the reason that Sources/COpenAPI/openapi.c gives. */
#include "page.h"

#if !__has_embed("../../.build-page/uplot.js")
#error "The page's charts need uPlot: run deploy/setup.sh page, which `make build` does, too."
#endif

#pragma clang diagnostic ignored "-Wc23-extensions"
static const unsigned char index_html[] = {
#embed "web/index.html"
};
static const unsigned char style_css[] = {
#embed "web/style.css"
};
static const unsigned char icon_svg[] = {
#embed "web/icon.svg"
};
static const unsigned char app_js[] = {
#embed "web/app.js"
};
static const unsigned char api_js[] = {
#embed "web/api.js"
};
static const unsigned char dom_js[] = {
#embed "web/dom.js"
};
static const unsigned char format_js[] = {
#embed "web/format.js"
};
static const unsigned char trace_js[] = {
#embed "web/trace.js"
};
static const unsigned char chart_js[] = {
#embed "web/chart.js"
};
static const unsigned char sessions_js[] = {
#embed "web/sessions.js"
};
static const unsigned char session_js[] = {
#embed "web/session.js"
};
static const unsigned char search_js[] = {
#embed "web/search.js"
};
static const unsigned char words_js[] = {
#embed "web/words.js"
};
static const unsigned char panels_js[] = {
#embed "web/panels.js"
};
static const unsigned char compare_js[] = {
#embed "web/compare.js"
};
static const unsigned char health_js[] = {
#embed "web/health.js"
};
static const unsigned char uplot_js[] = {
#embed "../../.build-page/uplot.js"
};
static const unsigned char uplot_license_txt[] = {
#embed "web/uplot-license.txt"
};

#define FILE_OF(name, type, bytes) {name, type, bytes, sizeof bytes}
static const char script[] = "text/javascript; charset=utf-8";
static const cpage_file files[] = {
    FILE_OF("index.html", "text/html; charset=utf-8", index_html),
    FILE_OF("style.css", "text/css; charset=utf-8", style_css),
    FILE_OF("icon.svg", "image/svg+xml", icon_svg),
    FILE_OF("app.js", script, app_js),
    FILE_OF("api.js", script, api_js),
    FILE_OF("dom.js", script, dom_js),
    FILE_OF("format.js", script, format_js),
    FILE_OF("trace.js", script, trace_js),
    FILE_OF("chart.js", script, chart_js),
    FILE_OF("sessions.js", script, sessions_js),
    FILE_OF("session.js", script, session_js),
    FILE_OF("search.js", script, search_js),
    FILE_OF("words.js", script, words_js),
    FILE_OF("panels.js", script, panels_js),
    FILE_OF("compare.js", script, compare_js),
    FILE_OF("health.js", script, health_js),
    FILE_OF("uplot.js", script, uplot_js),
    FILE_OF("uplot-license.txt", "text/plain; charset=utf-8", uplot_license_txt),
};

size_t
cpage_file_count(void)
{
    return sizeof files / sizeof files[0];
}

cpage_file
cpage_file_at(size_t index)
{
    return files[index];
}
