/** What a saved notebook shows of a run. */

import { h } from "./elements.js";
import { isOver, mark, statusWords } from "./statuses.js";
import { timeOf } from "./times.js";
import { count, listed, plain } from "./words.js";

const PICTURED = 200; // rows
const PICTURE_STYLE = "&{font:var(--jp-ui-font-size1,13px)/1.45 var(--jp-ui-font-family,system-ui)}& table{border-collapse:collapse;margin:2px 0;width:100%}& :is(th,td){padding:1px 16px 1px 0;border:0;text-align:left;vertical-align:top;white-space:nowrap;background:none}& :is(th,td):last-child{width:100%;white-space:normal;overflow-wrap:anywhere}& th{font-weight:400}& :is(th,.n-dim){color:var(--jp-ui-font-color2,GrayText)}& .n-bad{color:var(--jp-error-color1,CanvasText)}& .n-busy{color:var(--jp-brand-color1,LinkText)}& .n-warn{color:var(--jp-warn-color1,CanvasText)}";

/** The run as HTML that needs no script, and in a line; null: nothing is known of it. */
export function pictureOf({ head, outline: { list }, now }, remark) {
	if (!head) return null;
	const tinted = (status, words) => h("span", { class: `n-${mark(status)[1]}` }, words);
	const lines = list.slice(0, PICTURED).map(({ row, depth, more }) => {
		const cells = more ? [`${count(more)} more`] : [h("code", row.name), tinted(row.status, statusWords(row, now)), timeOf(row, now), row.text];
		return h("tr", cells.map((each, column) => h("td", column ? "" : "\u2003".repeat(depth - 1), each)));
	});
	const left = list.length - lines.length;
	const style = h("style", PICTURE_STYLE.replaceAll("&", ".nbflow-run".repeat(3)));
	const said = [isOver(head.status) ? "" : remark, ...head.waiting];
	const words = ["step", "status", "time", "result or error"].map((word) => h("th", word));
	const facts = listed(timeOf(head, now), ...said);
	const html = h("div", { class: "nbflow-run" }, style,
		h("p", tinted(head.status, mark(head.status)[0]), " ", h("b", head.workflow), " ", h("code", head.run_id), ` ${facts}`),
		head.error && h("p", { class: "n-bad" }, head.error), head.text && h("p", head.text),
		lines.length > 0 && h("table", h("tr", words), lines), left > 0 && h("p", `${count(left)} more`)).outerHTML;
	return { html, text: plain(`nbflow run ${head.run_id} ${head.workflow}: ${listed(mark(head.status)[0], facts)}`) };
}
