/*-------------------------------------------------------------------------
 *
 * style.c
 *	  How the report looks.
 *
 * The policy of the page allows this style sheet by its hash and no other, nor
 * attributes of style: whatever is drawn has a class.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "style.h"

/* Colours are named twice and a third time for paper. */
#define LIGHT \
	"--bg:#f7f6f3;--card:#fff;--ink:#1d2430;--mut:#596273;--line:#e1dfd9;--accent:#b3261e;--ok:#25633f;--soft:#f1efea;" \
	"--k0:#6b7280;--k1:#c8553d;--k2:#8d4bab;--k3:#b0426f;--k4:#b07d12;--k5:#2f8f83;--k6:#5f8f3e;--k7:#2f6fb3;--k8:#54616f;--k9:#7a5c3a;" \
	"--used:#9db4c8;--held:#c8553d"

const char	style_sheet[] =
":root{color-scheme:light dark;" LIGHT "}"
"@media(prefers-color-scheme:dark){:root{--bg:#14171c;--card:#1c2027;--ink:#e8e6e1;--mut:#a3acba;--line:#303641;--accent:#ff8a7a;--ok:#7fcf9f;--soft:#161a20;"
"--k0:#9aa3b2;--k1:#e67e66;--k2:#b98ad0;--k3:#e07fa5;--k4:#dcae4d;--k5:#5cc0b3;--k6:#94c46f;--k7:#6ea8e0;--k8:#93a1b0;--k9:#c49c6c;"
"--used:#4f667c;--held:#e67e66}}"
"*{box-sizing:border-box}"
"body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}"
"main{max-width:1120px;margin:0 auto;padding:28px 24px 40px}"
"header p.meta{color:var(--mut);margin:0;font-size:13px}"
"h1{font-size:29px;line-height:1.22;margin:8px 0;letter-spacing:-.015em;text-wrap:balance}h1 em{font-style:normal;color:var(--accent)}"
".lede{font-size:16.5px;max-width:60em;margin:0 0 22px}"
"h2{font-size:17px;margin:0}h3{font-size:15px;margin:0;overflow-wrap:anywhere}"
".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(146px,1fr));gap:12px;margin:0 0 22px;padding:0;list-style:none}"
".tiles li,section{background:var(--card);border:1px solid var(--line);border-radius:10px}"
".tiles li{padding:11px 12px}.tiles b{display:block;font-size:20px;line-height:1.4;letter-spacing:-.01em;font-variant-numeric:tabular-nums}"
".tiles span{color:var(--mut);font-size:13px}.bad b{color:var(--accent)}.good b{color:var(--ok)}"
"section{padding:16px 18px 18px;margin:0 0 16px}section>p{color:var(--mut);margin:2px 0 12px;font-size:13.5px}"
"figure{margin:0}figcaption{color:var(--mut);font-size:13.5px;margin:8px 0 0}"
".scroll{overflow-x:auto}.scroll:focus-visible{outline:2px solid var(--k7);outline-offset:3px}"
"svg{display:block;width:100%;height:auto}.plot svg{min-width:700px}"
"svg text{font:11px system-ui,\"DejaVu Sans\",sans-serif;fill:var(--mut)}svg text.lb{fill:var(--ink);font-size:12px}"
".g{stroke:var(--line);stroke-width:1;fill:none}.ua{fill:var(--used);opacity:.38}.ul{fill:none;stroke:var(--used);stroke-width:1.6}"
".ha{fill:var(--held);opacity:.8}.lim{stroke:var(--accent);stroke-width:1.5;stroke-dasharray:5 3}.ref{fill:var(--accent)}svg text.alarm{fill:var(--accent)}"
".ring{fill:none;stroke:var(--ink);stroke-width:.9;opacity:.75}.op{stroke:var(--ink);stroke-width:.8}"
".k0{fill:var(--k0);background:var(--k0)}.k1{fill:var(--k1);background:var(--k1)}.k2{fill:var(--k2);background:var(--k2)}"
".k3{fill:var(--k3);background:var(--k3)}.k4{fill:var(--k4);background:var(--k4)}.k5{fill:var(--k5);background:var(--k5)}"
".k6{fill:var(--k6);background:var(--k6)}.k7{fill:var(--k7);background:var(--k7)}.k8{fill:var(--k8);background:var(--k8)}.k9{fill:var(--k9);background:var(--k9)}"
".o-fin{fill:var(--ok);background:var(--ok)}.o-ter{fill:var(--accent);background:var(--accent)}.o-oth{fill:var(--mut);background:var(--mut)}.o-ope{fill:var(--k4);background:var(--k4)}"
".c-used{background:var(--used)}.c-held{background:var(--held)}"
"ul.key{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:10px 0 0;padding:0;font-size:13px;color:var(--mut)}ul.key b{color:var(--ink)}"
".sw{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px;-webkit-print-color-adjust:exact;print-color-adjust:exact}"
".causes{list-style:none;margin:0;padding:0}.causes>li{border-top:1px solid var(--line);padding:14px 0 12px}.causes>li:first-child{border-top:0;padding-top:4px}.causes>li:last-child{padding-bottom:0}"
".causes h3 .n{font-size:20px;margin-right:8px;font-variant-numeric:tabular-nums}.causes h3 small{font-weight:400;color:var(--mut);font-size:13px;margin-left:8px}"
".tags{display:inline}.tags code{background:var(--soft);border:1px solid var(--line);border-radius:5px;padding:0 6px;margin:0 6px 0 0;font-size:12px}"
"dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:6px 18px;margin:10px 0 0}dt{color:var(--mut);font-size:12px}dd{margin:0;font-size:14px;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}"
"code{font:12.5px/1.5 ui-monospace,\"DejaVu Sans Mono\",Menlo,monospace;overflow-wrap:anywhere}"
"ol.trail{margin:8px 0;padding:9px 12px 9px 34px;background:var(--soft);border-radius:6px}ol.trail li::marker{color:var(--mut);font-size:12px}ol.trail code{white-space:pre-wrap}"
"time,.nb{white-space:nowrap}.causes dl>div:nth-child(5){grid-column:1/-1}ol.trail li.dim{list-style:none}"
".dim{color:var(--mut);font-size:13px}p.dim{margin:8px 0}"
"figcaption svg.mark{display:inline-block;width:11px;min-width:0;margin-right:6px}"
"svg.bar{max-width:320px;margin:10px 0 0}"
"table{border-collapse:collapse;width:100%;font-size:14px}caption{text-align:left;color:var(--mut);font-size:13.5px;padding:0 0 6px}"
"section table+table,section .scroll+.scroll,section .scroll+p,section dl+.scroll{margin-top:16px}"
"th,td{padding:7px 14px 7px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}tbody tr:last-child>*{border-bottom:0}"
"thead th{font-weight:600;font-size:12.5px;color:var(--mut);white-space:nowrap;vertical-align:bottom}tbody th{font-weight:600;overflow-wrap:anywhere;min-width:9em}"
"td code{display:block;min-width:18em}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}th small,td small{display:block;color:var(--mut);font-weight:400;font-size:12px}"
"footer{color:var(--mut);font-size:13px;margin-top:20px}"
"@media(max-width:520px){main{padding:16px 10px 28px}section{padding:13px 12px 14px}h1{font-size:23px}.lede{font-size:15.5px}.tiles{grid-template-columns:1fr 1fr;gap:8px}.tiles b{font-size:19px}}"
"@media print{:root{" LIGHT ";--bg:#fff;--soft:#f6f6f4}@page{margin:13mm}body{font-size:12px}main{padding:0;max-width:none}"
"thead th{white-space:normal}tbody th{min-width:0}.nb{white-space:normal}.scroll{overflow:visible}.plot svg{min-width:0}section,.tiles li{border-color:#ccc}.tiles li,.causes>li,tr,figure,svg{break-inside:avoid}h2,h3,caption{break-after:avoid}td code{min-width:0}}";

/* The kinds that have a colour of their own, by the number of their class. */
static const char *const kinds[STYLE_KINDS] = {
	"other",
	"idle_in_transaction",
	"aborted_transaction",
	"waiting_for_client",
	"idle_blocker",
	"suspected_leak",
	"idle_session",
	"transaction",
	"session",
	"prepared_transaction",
};

int
style_of_kind(const char *kind)
{
	for (int i = 1; i < STYLE_KINDS; i++)
	{
		if (kind != NULL && strcmp(kinds[i], kind) == 0)
			return i;
	}
	return 0;
}

/* The kind with this class. */
const char *
style_kind_name(int style)
{
	return kinds[style];
}
