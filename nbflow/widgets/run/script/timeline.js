/** The time axis as it is drawn: labels in the head of the tree, lines behind its rows. */

import { tickLabel } from "./axis.js";
import { fill, h, watch } from "./elements.js";

export function makeTimeline() {
	const head = h("span.axis", { role: "columnheader", "aria-label": "Timeline" });
	const grid = h("div.grid", { "aria-hidden": true });
	const isOther = watch();
	const part = { head, grid, width: 300, measure, draw };

	function measure() {
		part.width = head.clientWidth;
		grid.style.width = `${part.width}px`;
	}

	function draw({ length, ticks }) {
		const { width } = part;
		if (!isOther([length, ticks.length, width].join())) return;
		const style = (ms) => ({ style: `left:${(100 * ms) / length}%` });
		// No label that would stick out at the end.
		const labels = ticks.filter((tick) => (1 - tick / length) * width > 34);
		fill(head, ...labels.map((tick) => h("span.tick", style(tick), tickLabel(tick))));
		fill(grid, ...ticks.slice(1).map((tick) => h("span.tick-line", style(tick))));
	}
	return part;
}
