/** One display of a run: its parts, when they are drawn, what the kernel hears of it. */

import { makeAnnouncer } from "./announcer.js";
import { makeDetails } from "./details.js";
import { h, set } from "./elements.js";
import { makeHeader } from "./header.js";
import { makeLog } from "./log.js";
import { makeQuestions } from "./questions.js";
import { makeTree } from "./tree.js";
import { plain } from "./words.js";

export function makeDisplay(store) {
	const parts = [makeHeader, makeQuestions, makeTree, makeDetails, makeLog, makeAnnouncer].map((make) => make(store));
	const [header, questions, tree, details, log, announcer] = parts;
	const display = { schedule, remove };
	let [frame, hasPointer, hasFocus] = [0, false, false];
	const el = display.el = h("section.run", {
		// JupyterLab would take keys for commands: "b" inserts a cell. Saving goes on.
		onkeydown: (event) => (event.ctrlKey || event.metaKey) && event.key === "s" ? null : event.stopPropagation(),
		onpointerenter: () => hold(true, hasFocus),
		onpointerleave: () => hold(false, hasFocus),
	}, header.el, questions.el, h("div.body", tree.el, details.el), log.el, announcer.el);
	el.addEventListener("focusin", () => hold(hasPointer, true));
	el.addEventListener("focusout", ({ relatedTarget }) => hold(hasPointer, el.contains(relatedTarget)));
	tree.onenter = () => { details.mustFocus = true; };
	details.onleave = () => tree.table.focus();
	const onTab = () => store.note(display, {});
	document.addEventListener("visibilitychange", onTab);
	const watchers = [
		new IntersectionObserver((seen) => store.note(display, { isVisible: seen.at(-1).isIntersecting })),
		new ResizeObserver(() => {
			measure();
			schedule();
		}),
	];
	for (const watcher of watchers) watcher.observe(el);

	function hold(pointer, focus) {
		[hasPointer, hasFocus] = [pointer, focus];
		store.note(display, { isHeld: pointer || focus });
	}

	function remove() {
		store.detach(display);
		cancelAnimationFrame(frame);
		document.removeEventListener("visibilitychange", onTab);
		for (const watcher of watchers) watcher.disconnect();
		el.remove();
	}

	/** Draw in the next frame; a hidden tab has none until it is seen again. */
	function schedule() {
		frame ||= requestAnimationFrame(() => {
			frame = 0;
			if (el.isConnected) draw();
		});
	}

	function measure() {
		const width = el.clientWidth;
		el.dataset.size = width < 560 ? "narrow" : width < 960 ? "middle" : "wide";
		tree.measure();
	}

	function draw() {
		const { head } = store;
		el.hidden = !head;
		if (!head) return;
		const hasDetails = String(store.detailRow !== null);
		const hasMoved = hasDetails !== el.dataset.details;
		set(el, {
			"aria-label": `Run ${plain(head.run_id)} of ${plain(head.workflow)}`,
			"data-status": head.status, "data-deaf": store.isDeaf, "data-details": hasDetails,
		});
		if (hasMoved) measure();
		for (const part of parts) part.draw();
		store.mustReveal = false;
	}
	return display;
}
