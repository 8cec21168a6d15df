/** The steps as a tree with a time line. */

import { timeAxis } from "./axis.js";
import { h, newId, say, set } from "./elements.js";
import { makeKeys } from "./keys.js";
import { isOver } from "./statuses.js";
import { makeTimeline } from "./timeline.js";
import { makeTools } from "./tools.js";
import { LINES_IN_SIGHT, makeViewport } from "./viewport.js";
import { plain } from "./words.js";

export function makeTree(store) {
	const { outline } = store;
	const tools = makeTools(store, (isOn) => {
		table.focus();
		if (isOn) keys.move(0);
	});
	const keys = makeKeys(store, LINES_IN_SIGHT, {
		onfind: tools.focus, onleave: () => (table.closest(".jp-Cell") ?? table).focus(), onenter: () => part.onenter(),
	});
	const timeline = makeTimeline();
	const viewport = makeViewport(store, newId(), timeline.grid);
	const column = (name, kind = "") => h(`span${kind}`, { role: "columnheader" }, name);
	const columns = h("div.columns", { role: "row", "aria-rowindex": 1 },
		column("Step"), column("Status"), column("Time", ".time"), timeline.head);
	const empty = h("p.empty.soft");
	const table = h("div.tree", { role: "treegrid", tabindex: 0, onkeydown: keys.onkeydown, onclick }, columns, viewport.el, empty);
	const part = { el: h("div", tools.el, table), table, draw, measure, onenter: null };

	/** The size has changed, or the view is on the page again. */
	function measure() {
		const width = table.clientWidth;
		if (!width) return;
		table.dataset.width = width < 540 ? "narrow" : width < 1000 ? "middle" : "wide";
		columns.style.paddingRight = `${viewport.el.offsetWidth - viewport.el.clientWidth}px`;
		timeline.measure();
		viewport.restore();
	}

	function draw() {
		const { head, now } = store;
		const { length } = outline.list;
		tools.draw();
		set(table, { "aria-label": `Steps of ${plain(head.workflow)}`, "aria-rowcount": length + 1 });
		if (viewport.resize()) measure();
		empty.hidden = length > 0;
		columns.hidden = !outline.rows.size;
		say(empty, whyEmpty(head));
		if (store.mustReveal) viewport.reveal();
		const axis = timeAxis(head, now, Math.max(timeline.width / 64, 2));
		timeline.draw(axis);
		set(table, { "aria-activedescendant": viewport.draw(axis, now) });
	}

	function whyEmpty({ status }) {
		if (outline.rows.size) return `no step ${outline.search ? "in this view has such a name" : "matches the filter"}`;
		return isOver(status) ? "no steps" : "no steps yet";
	}

	function onclick({ target }) {
		const item = outline.list[target.closest(".nbf-row")?.dataset.index];
		if (!item) return;
		if (item.more) store.fold(item.row, true);
		else if (item.fold && target.closest(".nbf-twisty")) store.fold(item.row, item.fold !== "open");
		else {
			store.select(item.key);
			store.showDetail(item.key);
		}
	}
	return part;
}
