/** The box in which the tree scrolls; only the lines in sight are elements. */

import { h } from "./elements.js";
import { LINE_HEIGHT, makeLine } from "./line.js";

export const LINES_IN_SIGHT = 16;
const SPARE_LINES = 4; // above and below those in sight

export function makeViewport(store, id, grid) {
	const { outline } = store;
	const lines = [];
	const canvas = h("div.canvas", { role: "presentation" }, grid);
	const el = h("div.viewport", { role: "rowgroup", tabindex: -1, onscroll }, canvas);
	let [height, length] = [0, 0];

	function onscroll() {
		if (!el.clientHeight) return;
		store.scrollTop = el.scrollTop;
		store.draw();
	}

	/** What is taken off the page loses its place. */
	function restore() {
		el.scrollTop = store.scrollTop;
	}

	/** @returns whether the scroll bar has come or gone */
	function resize() {
		const [before, { length: after }] = [length, outline.list];
		if (before === after) return false;
		height = Math.min(after, LINES_IN_SIGHT) * LINE_HEIGHT;
		el.style.height = `${height}px`;
		canvas.style.height = `${after * LINE_HEIGHT}px`;
		length = after;
		return before > LINES_IN_SIGHT !== after > LINES_IN_SIGHT;
	}

	/** Bring the selected line into sight, no further. */
	function reveal() {
		const place = outline.list.findIndex(({ key }) => key === store.selected);
		if (place < 0) return;
		const top = place * LINE_HEIGHT;
		store.scrollTop = Math.max(Math.min(store.scrollTop, top), top + LINE_HEIGHT - height);
		restore();
	}

	/** @returns the id of the selected line, if it is an element */
	function draw(axis, now) {
		const size = Math.min(LINES_IN_SIGHT + 2 * SPARE_LINES, length);
		const first = Math.max(Math.min(Math.floor(store.scrollTop / LINE_HEIGHT) - SPARE_LINES, length - size), 0);
		while (lines.length < size) lines.push(makeLine());
		for (const line of lines.splice(size)) line.el.remove();
		let active = null;
		for (let index = first; index < first + size; index += 1) {
			const item = outline.list[index];
			const line = lines[index % size];
			const isSelected = item.key === store.selected;
			const lineId = `${id}-${item.key}`;
			line.draw(item, index, isSelected, axis, now, lineId);
			if (!line.el.isConnected) canvas.append(line.el);
			if (isSelected) active = lineId;
		}
		return active;
	}
	return { el, restore, resize, reveal, draw };
}
