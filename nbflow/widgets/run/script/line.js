/** A line of the tree. */

import { fill, h, say, set, watch } from "./elements.js";
import { icon, setIcon } from "./icons.js";
import { barsOf } from "./row.js";
import { isOver, mark, statusWords, sum } from "./statuses.js";
import { timeOf } from "./times.js";
import { count, listed } from "./words.js";

export const LINE_HEIGHT = 24; // px, as in the style sheet

/** The element of an item; used again for another one when the tree is scrolled. */
export function makeLine() {
	const cell = (name, ...parts) => h(`span.${name}`, { role: "gridcell" }, parts);
	const [sign, name, tags, text, share] = [icon(), h("span.name"), h("span.tags"), h("span.text"), h("span")];
	const meter = h("span.meter", share);
	const [status, time, bars] = [cell("status"), cell("time"), cell("bars")];
	const lead = h("span.lead", h("span.twisty", { "aria-hidden": true }), sign, name, tags);
	const el = h("div.row", { role: "row" }, cell("step", lead, meter, text), status, time, bars);
	const [isOtherRow, isOtherKey] = [watch(), watch()];

	/** @param {import("./outline.js").Item} item */
	function draw({ row, depth, fold, more }, index, isSelected, axis, now, id) {
		// What has an outcome stays as it is; what has none ticks.
		const pulse = isOver(row.status) ? 0 : Math.floor(now / 500);
		const isSame = !isOtherKey([index, depth, fold, more, isSelected, axis.start, axis.end, pulse].join());
		if (!isOtherRow(row) && isSame) return;
		set(el, {
			id, "aria-rowindex": index + 2, "aria-level": depth, "aria-selected": String(isSelected),
			"aria-expanded": fold && String(fold !== "closed"),
			"data-index": index, "data-fold": fold ?? "", "data-more": more > 0, "data-status": more ? "" : row.status,
			style: `transform:translateY(${index * LINE_HEIGHT}px);--nbf-depth:${Math.min(depth - 1, 12)}`,
		});
		meter.hidden = more || !row.counts;
		if (!more) drawRow(row, axis, now);
		else {
			say(name, `${count(more)} more`);
			for (const each of [tags, text, status, time, bars]) fill(each);
		}
	}

	function drawRow(row, { start, length }, now) {
		const { attempt, counts, kind, flags } = row;
		setIcon(sign, row.status);
		say(name, row.name, 200);
		const words = [kind !== "run" && kind, attempt > 1 && `attempt ${attempt}`, flags.includes("s") && "stale"].filter(Boolean);
		if (words.join("") !== tags.textContent) fill(tags, ...words.map((word) => h("span.tag", word)));
		say(status, statusWords(row, now));
		say(time, timeOf(row, now));
		say(text, listed(counts && drawMeter(counts), row.text));
		el.title = `${name.textContent}\n${text.textContent}`;
		for (const element of [status, text, meter]) set(element, { "data-tone": mark(row.status)[1] });
		const found = barsOf(row, now);
		const place = (ms) => Math.min(Math.max((100 * (ms - start)) / length, 0), 100);
		while (bars.childElementCount > found.length) bars.lastChild.remove();
		while (bars.childElementCount < found.length) bars.append(h("span"));
		found.forEach(([letter, from, to, tone], index) => {
			const style = `left:${place(from)}%;width:${place(to) - place(from)}%`;
			set(bars.children[index], { class: `nbf-bar nbf-${letter}`, "data-tone": tone, style });
		});
	}

	/** The bar of what counts; returns it in words. */
	function drawMeter(counts) {
		const bad = counts[1];
		const done = counts[0] + bad;
		const known = counts[4] || sum(counts);
		share.style.width = `${Math.min((100 * done) / (known || 1), 100)}%`;
		return listed(done === known ? count(done) : `${count(done)}/${count(known)}`, bad && `${count(bad)} failed`);
	}
	return { el, draw };
}
